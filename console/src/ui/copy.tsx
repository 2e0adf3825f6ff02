import { ActionIcon, Button, CopyButton as Copied, Tooltip } from '@mantine/core';
import { Check, Copy } from 'lucide-react';

/** A button with words that copies a text. */
export function CopyButton({ value, label }: { value: string; label: string }) {
  return (
    <Copied value={value} timeout={2000}>
      {({ copied, copy }) => (
        <Button
          size="compact-sm"
          variant="default"
          onClick={copy}
          leftSection={copied ? <Check size={14} aria-hidden /> : <Copy size={14} aria-hidden />}
        >
          {copied ? 'Copied' : label}
        </Button>
      )}
    </Copied>
  );
}

/** The same as an icon, for use beside the text itself. */
export function CopyIcon({ value, what }: { value: string; what: string }) {
  return (
    <Copied value={value} timeout={2000}>
      {({ copied, copy }) => (
        <Tooltip label={copied ? 'Copied' : `Copy ${what}`}>
          <ActionIcon size="sm" onClick={copy} aria-label={copied ? 'Copied' : `Copy ${what}`}>
            {copied ? <Check size={14} /> : <Copy size={14} />}
          </ActionIcon>
        </Tooltip>
      )}
    </Copied>
  );
}
