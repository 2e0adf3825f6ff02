import { Group, NativeSelect, Stack, Text, Textarea, TextInput, Title } from '@mantine/core';
import { BrickForm } from './brick-form';
import { blankImplementation, type Component, type Conditional, type Data, type Kind, kindSays, kindWord } from './document';
import { withImplementation } from './graph';
import { PortList } from './port-list';

export type Change = (next: Component, about?: string) => void;

const kinds: readonly Kind[] = ['graph', 'map', 'conditional', 'brick', 'any'];

/** Everything about a component that is no drawing. */
export function ComponentForm({ component, onChange }: { component: Component; onChange: Change }) {
  const it = component.implementation;
  return (
    <Stack gap="md">
      <TextInput label="Name" value={component.name ?? ''} onChange={(e) => onChange({ ...component, name: e.currentTarget.value }, 'name')} />
      <Textarea
        label="Description"
        autosize
        minRows={1}
        maxRows={6}
        value={component.description ?? ''}
        onChange={(e) => onChange({ ...component, description: e.currentTarget.value }, 'description')}
      />
      <NativeSelect
        label="Kind"
        description={kindSays(it.type)}
        value={it.type}
        onChange={(e) => onChange(withImplementation(component, blankImplementation(e.currentTarget.value as Kind)))}
        data={kinds.map((k) => ({ value: k, label: kindWord(k) }))}
      />
      <PortList component={component} side="inputs" onChange={onChange} />
      <PortList component={component} side="outputs" onChange={onChange} />
      {it.type === 'conditional' && <ConditionForm component={component} conditional={it} onChange={onChange} />}
      {it.type === 'brick' && <BrickForm component={component} brick={it} onChange={onChange} />}
    </Stack>
  );
}

const operators = [
  { value: '==', label: 'is' },
  { value: '!=', label: 'is not' },
  { value: '<', label: 'is less than' },
  { value: '<=', label: 'is at most' },
  { value: '>', label: 'is more than' },
  { value: '>=', label: 'is at least' },
];

function ConditionForm({ component, conditional, onChange }: { component: Component; conditional: Conditional; onChange: Change }) {
  const first = (component.inputs ?? []).find((d) => d.type === 'parameter');
  const expression = conditional.expression ?? { left: first ?? '', operator: '==', right: '' };
  const set = (next: Partial<typeof expression>) => onChange(withImplementation(component, { ...conditional, expression: { ...expression, ...next } }), 'expression');
  return (
    <div>
      <Title order={3} fz="sm" mb={4}>
        Condition
      </Title>
      <Stack gap={6}>
        <OperandField label="Left" operand={expression.left} inputs={component.inputs ?? []} onChange={(left) => set({ left })} />
        <NativeSelect aria-label="Comparison" size="xs" value={expression.operator} onChange={(e) => set({ operator: e.currentTarget.value })} data={operators} />
        <OperandField label="Right" operand={expression.right} inputs={component.inputs ?? []} onChange={(right) => set({ right })} />
      </Stack>
      <Text size="xs" c="dimmed" mt={4}>
        If it holds, the node “if so” runs, otherwise the node “if not”, if there is one.
      </Text>
    </div>
  );
}

function OperandField({ label, operand, inputs, onChange }: { label: string; operand: string | Data; inputs: readonly Data[]; onChange: (o: string | Data) => void }) {
  const parameters = inputs.filter((d) => d.type === 'parameter');
  const name = typeof operand === 'object' ? operand.name : '';
  return (
    <Group gap={4} wrap="nowrap">
      <NativeSelect
        aria-label={`${label} side`}
        size="xs"
        w={120}
        value={name}
        onChange={(e) => {
          const input = parameters.find((d) => d.name === e.currentTarget.value);
          onChange(input === undefined ? '' : { name: input.name, type: input.type });
        }}
        data={[{ value: '', label: 'a text' }, ...parameters.map((d) => ({ value: d.name, label: `input ${d.name}` })), ...(name !== '' && !parameters.some((d) => d.name === name) ? [{ value: name, label: `${name} (not there)` }] : [])]}
      />
      {typeof operand === 'string' && <TextInput aria-label={`${label} text`} size="xs" flex={1} value={operand} onChange={(e) => onChange(e.currentTarget.value)} />}
    </Group>
  );
}
