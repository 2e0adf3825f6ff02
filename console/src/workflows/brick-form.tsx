import { ActionIcon, Button, Group, NativeSelect, Stack, Text, Textarea, TextInput, Title } from '@mantine/core';
import { Plus, Trash2 } from 'lucide-react';
import { commandOf, commandText } from './command';
import type { Arg, Brick, Component, Data, Result } from './document';
import { withImplementation } from './graph';
import classes from './editor.module.css';

interface Props {
  component: Component;
  brick: Brick;
  onChange: (next: Component, about?: string) => void;
}

const withTypes = ['parameter', 'parameter_array', 'artifact', 'volume'];

/** What a brick runs: image, command, arguments, and where its outputs are written. */
export function BrickForm({ component, brick, onChange }: Props) {
  const set = (next: Partial<Brick>, about?: string) => onChange(withImplementation(component, { ...brick, ...next }), about);
  const container = (next: Partial<Brick['container']>, about: string) => set({ container: { ...brick.container, ...next } }, about);
  const [args, results] = [brick.args ?? [], brick.results ?? []];
  const inputs = (component.inputs ?? []).filter((d) => withTypes.includes(d.type));
  return (
    <Stack gap="md">
      <TextInput
        label="Image"
        description="The container image that it runs in"
        placeholder="e.g. python:3.12-slim"
        value={brick.container.image ?? ''}
        onChange={(e) => container({ image: e.currentTarget.value }, 'image')}
      />
      <Textarea
        label="Command"
        description="One word a line; a line may be a whole script"
        placeholder={'sh\n-c\necho hello'}
        autosize
        minRows={2}
        maxRows={12}
        value={commandText(brick.container.command)}
        onChange={(e) => container({ command: commandOf(e.currentTarget.value) }, 'command')}
        classNames={{ input: classes.mono ?? '' }}
      />
      <div>
        <Group justify="space-between" mb={4}>
          <Title order={3} fz="sm">
            Arguments
          </Title>
          <Button size="compact-xs" variant="subtle" leftSection={<Plus size={13} aria-hidden />} onClick={() => set({ args: [...args, newArg(inputs, args)] })}>
            Add an argument
          </Button>
        </Group>
        {args.length === 0 && (
          <Text size="xs" c="dimmed">
            None. What inputs bring reaches the program as arguments; secrets reach it as variables by themselves.
          </Text>
        )}
        <Stack gap={6}>
          {args.map((a, i) => (
            <ArgRow key={i} arg={a} number={i + 1} inputs={inputs} onChange={(next) => set({ args: args.map((o, j) => (j === i ? next : o)) }, `args/${i}`)} onRemove={() => set({ args: args.filter((_, j) => j !== i) })} />
          ))}
        </Stack>
      </div>
      <div>
        <Group justify="space-between" mb={4}>
          <Title order={3} fz="sm">
            Results
          </Title>
          <Button
            size="compact-xs"
            variant="subtle"
            leftSection={<Plus size={13} aria-hidden />}
            disabled={(component.outputs ?? []).length === 0}
            onClick={() => set({ results: [...results, newResult(component.outputs ?? [], results)] })}
          >
            Add a result
          </Button>
        </Group>
        {results.length === 0 && (
          <Text size="xs" c="dimmed">
            None. Add an output first; then say which file holds it.
          </Text>
        )}
        <Stack gap={6}>
          {results.map((r, i) => (
            <ResultRow
              key={i}
              result={r}
              number={i + 1}
              component={component}
              onChange={(next) => set({ results: results.map((o, j) => (j === i ? next : o)) }, `results/${i}`)}
              onRemove={() => set({ results: results.filter((_, j) => j !== i) })}
            />
          ))}
        </Stack>
      </div>
    </Stack>
  );
}

function newArg(inputs: readonly Data[], args: readonly Arg[]): Arg {
  const used = args.map((a) => (typeof a.source === 'object' ? a.source.port : ''));
  const next = inputs.find((d) => !used.includes(d.name));
  return next === undefined ? { source: '' } : { source: { port: next.name }, target: { type: argType(next) } };
}

function argType(input: Data): string {
  return input.type === 'parameter_array' ? 'parameter' : input.type;
}

function newResult(outputs: readonly Data[], results: readonly Result[]): Result {
  const next = outputs.find((d) => !results.some((r) => r.target.port === d.name)) ?? outputs[0];
  return { source: { file: `/tmp/${next?.name ?? 'result'}` }, target: { port: next?.name ?? '' } };
}

const TEXT = '';

function ArgRow({ arg, number, inputs, onChange, onRemove }: { arg: Arg; number: number; inputs: readonly Data[]; onChange: (a: Arg) => void; onRemove: () => void }) {
  const port = typeof arg.source === 'object' ? arg.source.port : TEXT;
  const known = inputs.find((d) => d.name === port);
  return (
    <div className={classes.portRow}>
      <Group gap={4} wrap="nowrap">
        <NativeSelect
          aria-label={`Source of argument ${number}`}
          size="xs"
          flex={1}
          value={port}
          onChange={(e) => {
            const input = inputs.find((d) => d.name === e.currentTarget.value);
            onChange(input === undefined ? { source: '' } : { source: { port: input.name }, target: { ...arg.target, type: argType(input) } });
          }}
          data={[{ value: TEXT, label: 'a text' }, ...inputs.map((d) => ({ value: d.name, label: `input ${d.name}` })), ...(port !== TEXT && known === undefined ? [{ value: port, label: `${port} (not there)` }] : [])]}
        />
        <ActionIcon aria-label={`Take away argument ${number}`} onClick={onRemove}>
          <Trash2 size={14} />
        </ActionIcon>
      </Group>
      {typeof arg.source === 'string' ? (
        <TextInput aria-label={`Text of argument ${number}`} size="xs" mt={4} placeholder="--verbose" value={arg.source} onChange={(e) => onChange({ ...arg, source: e.currentTarget.value })} />
      ) : (
        <Group gap={4} mt={4} grow>
          <TextInput
            aria-label={`Before argument ${number}`}
            size="xs"
            placeholder={known?.type === 'volume' ? 'folder, e.g. /data' : 'before, e.g. --n='}
            value={arg.target?.prefix ?? ''}
            onChange={(e) => onChange({ ...arg, target: { ...arg.target, type: arg.target?.type ?? 'parameter', prefix: e.currentTarget.value } })}
          />
          <TextInput
            aria-label={`After argument ${number}`}
            size="xs"
            placeholder="after"
            value={arg.target?.suffix ?? ''}
            onChange={(e) => onChange({ ...arg, target: { ...arg.target, type: arg.target?.type ?? 'parameter', suffix: e.currentTarget.value } })}
          />
        </Group>
      )}
    </div>
  );
}

function ResultRow({ result, number, component, onChange, onRemove }: { result: Result; number: number; component: Component; onChange: (r: Result) => void; onRemove: () => void }) {
  const outputs = component.outputs ?? [];
  const volumes = (component.inputs ?? []).filter((d) => d.type === 'volume');
  const file = typeof result.source === 'object' && 'file' in result.source ? result.source.file : undefined;
  const handsOn = outputs.find((d) => d.name === result.target.port)?.type === 'volume';
  return (
    <div className={classes.portRow}>
      <Group gap={4} wrap="nowrap">
        <NativeSelect
          aria-label={`Output of result ${number}`}
          size="xs"
          flex={1}
          value={result.target.port}
          onChange={(e) => onChange({ ...result, target: { port: e.currentTarget.value } })}
          data={[...outputs.map((d) => ({ value: d.name, label: `output ${d.name}` })), ...(outputs.some((d) => d.name === result.target.port) ? [] : [{ value: result.target.port, label: `${result.target.port} (not there)` }])]}
        />
        <ActionIcon aria-label={`Take away result ${number}`} onClick={onRemove}>
          <Trash2 size={14} />
        </ActionIcon>
      </Group>
      {handsOn ? (
        <NativeSelect
          aria-label={`Volume of result ${number}`}
          size="xs"
          mt={4}
          value={typeof result.source === 'object' && 'volume' in result.source ? result.source.volume : ''}
          onChange={(e) => onChange({ ...result, source: { volume: e.currentTarget.value } })}
          data={[{ value: '', label: 'choose a volume' }, ...volumes.map((d) => ({ value: d.name, label: `input ${d.name}` }))]}
        />
      ) : (
        <TextInput
          aria-label={`File of result ${number}`}
          size="xs"
          mt={4}
          placeholder="/tmp/result"
          value={file ?? ''}
          onChange={(e) => onChange({ ...result, source: { file: e.currentTarget.value } })}
        />
      )}
    </div>
  );
}
