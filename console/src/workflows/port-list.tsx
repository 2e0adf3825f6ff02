import { ActionIcon, Button, Collapse, Group, NativeSelect, Stack, Text, TextInput, Title, Tooltip } from '@mantine/core';
import { Plus, SlidersHorizontal, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { type Component, type Data, portTypes, type PortType, textIn, typeWord } from './document';
import { addPort, changePort, portNameForm, removePort, type Side } from './graph';
import { defaultOf } from './value';
import classes from './editor.module.css';

type Change = (next: Component, about?: string) => void;

/** The inputs or the outputs of a component, to be named, typed, added and taken away. */
export function PortList({ component, side, onChange }: { component: Component; side: Side; onChange: Change }) {
  const ports = component[side] ?? [];
  const one = side === 'inputs' ? 'input' : 'output';
  return (
    <div>
      <Group justify="space-between" mb={4}>
        <Title order={3} fz="sm">
          {side === 'inputs' ? 'Inputs' : 'Outputs'}
        </Title>
        <Button size="compact-xs" variant="subtle" leftSection={<Plus size={13} aria-hidden />} onClick={() => onChange(addPort(component, side).component)}>
          Add {one === 'input' ? 'an input' : 'an output'}
        </Button>
      </Group>
      {ports.length === 0 ? (
        <Text size="xs" c="dimmed">
          None. {side === 'inputs' ? 'It starts with nothing from outside.' : 'It gives nothing back.'}
        </Text>
      ) : (
        <Stack gap={6}>
          {ports.map((d, i) => (
            <PortRow
              key={i}
              data={d}
              one={one}
              names={ports.map((p) => p.name)}
              onChange={(data) => onChange(changePort(component, side, i, data), `${side}/${i}`)}
              onRemove={() => onChange(removePort(component, side, i))}
            />
          ))}
        </Stack>
      )}
    </div>
  );
}

function PortRow({ data, one, names, onChange, onRemove }: { data: Data; one: string; names: readonly string[]; onChange: (d: Data) => void; onRemove: () => void }) {
  const [more, setMore] = useState(false);
  const problem = !portNameForm.test(data.name)
    ? 'Begin with a letter; then letters, digits, - and _.'
    : names.filter((n) => n === data.name).length > 1
      ? 'Two have this name.'
      : undefined;
  const userdata = (name: string, value: unknown) => {
    const rest = Object.fromEntries(Object.entries(data.userdata ?? {}).filter(([k]) => k !== name));
    const next = value === '' || value === undefined ? rest : { ...rest, [name]: value };
    const { userdata: _, ...bare } = data;
    onChange(Object.keys(next).length === 0 ? bare : { ...bare, userdata: next });
  };
  return (
    <div className={classes.portRow}>
      <Group gap={4} wrap="nowrap" align="flex-start">
        <TextInput aria-label={`Name of ${one} ${data.name}`} size="xs" flex={1} value={data.name} error={problem} onChange={(e) => onChange({ ...data, name: e.currentTarget.value })} />
        <NativeSelect
          aria-label={`Type of ${one} ${data.name}`}
          size="xs"
          w={88}
          value={data.type}
          onChange={(e) => onChange({ ...data, type: e.currentTarget.value as PortType })}
          data={portTypes.map((t) => ({ value: t, label: typeWord(t) }))}
        />
        <Tooltip label="More about it">
          <ActionIcon size="md" aria-label={`More about ${data.name}`} aria-expanded={more} onClick={() => setMore(!more)}>
            <SlidersHorizontal size={14} />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Take it away">
          <ActionIcon size="md" aria-label={`Take away ${one} ${data.name}`} onClick={onRemove}>
            <Trash2 size={14} />
          </ActionIcon>
        </Tooltip>
      </Group>
      <Collapse expanded={more}>
        <Stack gap={6} pt={6}>
          <TextInput label="What it is for" size="xs" value={textIn(data.userdata, 'description') ?? ''} onChange={(e) => userdata('description', e.currentTarget.value)} />
          {one === 'input' && (data.type === 'parameter' || data.type === 'parameter_array') && (
            <TextInput
              label="Offered at the start of a run"
              size="xs"
              value={defaultOf(data).replaceAll('\n', ', ')}
              onChange={(e) => {
                const text = e.currentTarget.value;
                userdata('value', data.type === 'parameter_array' && text !== '' ? text.split(',').map((x) => x.trim()) : text);
              }}
            />
          )}
          {data.type === 'parameter' && (
            <NativeSelect
              label="Kind of text"
              size="xs"
              value={data.mediatype?.[0] ?? ''}
              onChange={(e) => {
                const { mediatype: _, ...rest } = data;
                onChange(e.currentTarget.value === '' ? rest : { ...rest, mediatype: [e.currentTarget.value] });
              }}
              data={[
                { value: '', label: 'any' },
                { value: 'string', label: 'words' },
                { value: 'integer', label: 'whole number' },
                { value: 'number', label: 'number' },
              ]}
            />
          )}
        </Stack>
      </Collapse>
    </div>
  );
}
