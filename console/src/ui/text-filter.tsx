import { TextInput } from '@mantine/core';
import { useDebouncedCallback } from '@mantine/hooks';
import { Search } from 'lucide-react';
import { useState } from 'react';

/** A filter that is typed, and asked for once the typing pauses. */
export function TextFilter({ label, value, onChange, search = false }: { label: string; value: string; onChange: (value: string) => void; search?: boolean }) {
  const [typed, setTyped] = useState(value);
  const [shown, setShown] = useState(value);
  if (shown !== value) {
    // The address changed by itself: by going back, or by another filter.
    setShown(value);
    setTyped(value);
  }
  const later = useDebouncedCallback(onChange, 300);
  return (
    <TextInput
      aria-label={label}
      placeholder={label}
      size="xs"
      w={search ? 160 : 104}
      leftSection={search ? <Search size={14} aria-hidden /> : undefined}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        later(event.currentTarget.value);
      }}
    />
  );
}
