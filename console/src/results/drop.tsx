import { Button, Text } from '@mantine/core';
import { FileUp } from 'lucide-react';
import { useRef, useState, type DragEvent, type ReactNode } from 'react';
import classes from './results.module.css';

interface Props {
  label: string;
  hint: ReactNode;
  onFiles: (files: File[]) => void;
  disabled?: boolean;
}

/** Takes files by drag, by keyboard and by click. */
export function Drop({ label, hint, onFiles, disabled = false }: Props) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  const take = (files: FileList | null) => {
    if (files !== null && files.length > 0) onFiles([...files]);
  };
  const drag = (inside: boolean) => (event: DragEvent) => {
    event.preventDefault();
    setOver(inside && !disabled);
  };
  return (
    // eslint-disable-next-line jsx-a11y/no-static-element-interactions -- dropping is an extra; the button does the same
    <div
      className={classes.drop}
      data-over={over}
      data-testid="drop"
      onDragEnter={drag(true)}
      onDragOver={drag(true)}
      onDragLeave={drag(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (!disabled) take(event.dataTransfer.files);
      }}
    >
      <FileUp size={22} aria-hidden className={classes.dropIcon} />
      <div>
        <Text size="sm" fw={550}>
          {label}{' '}
          <Button variant="subtle" size="compact-sm" disabled={disabled} onClick={() => input.current?.click()}>
            choose files
          </Button>
        </Text>
        <Text size="xs" c="dimmed" component="div">
          {hint}
        </Text>
      </div>
      <input
        ref={input}
        type="file"
        multiple
        className="visually-hidden"
        tabIndex={-1}
        aria-label="Files to upload"
        onChange={(event) => {
          take(event.currentTarget.files);
          event.currentTarget.value = '';
        }}
      />
    </div>
  );
}
