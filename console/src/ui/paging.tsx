import { Button, Group, Text } from '@mantine/core';
import { ChevronLeft, ChevronRight } from 'lucide-react';

interface Props {
  total: number;
  limit: number;
  offset: number;
  noun: string;
  onChange: (offset: number) => void;
}

/** Which part of a long list is shown, and the way to the rest. */
export function Paging({ total, limit, offset, noun, onChange }: Props) {
  if (total === 0) return null;
  const last = Math.min(offset + limit, total);
  return (
    <Group justify="space-between" p="sm" gap="xs">
      <Text size="xs" c="dimmed">
        {total <= limit && offset === 0
          ? `${total.toLocaleString('en')} ${noun}`
          : `${(offset + 1).toLocaleString('en')}–${last.toLocaleString('en')} of ${total.toLocaleString('en')} ${noun}`}
      </Text>
      {(total > limit || offset > 0) && (
        <Group gap="xs">
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<ChevronLeft size={14} aria-hidden />}
            disabled={offset === 0}
            onClick={() => onChange(Math.max(0, offset - limit))}
          >
            Previous
          </Button>
          <Button
            size="compact-sm"
            variant="default"
            rightSection={<ChevronRight size={14} aria-hidden />}
            disabled={last >= total}
            onClick={() => onChange(offset + limit)}
          >
            Next
          </Button>
        </Group>
      )}
    </Group>
  );
}
