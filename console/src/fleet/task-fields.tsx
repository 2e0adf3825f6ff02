import { Checkbox, Group, MultiSelect, NativeSelect, NumberInput, SegmentedControl, Select, Stack, Textarea, TextInput } from '@mantine/core';
import { useFleets, useDestinations } from './queries';
import { robotLook, type Destination } from './model';
import type { Checked, Kind, Order } from './order';

const kinds: { value: Kind; label: string }[] = [
  { value: 'patrol', label: 'Go to places' },
  { value: 'delivery', label: 'Delivery' },
  { value: 'clean', label: 'Clean' },
  { value: 'compose', label: 'Composed' },
];

interface Props {
  order: Order;
  onChange: (order: Order) => void;
  problems: Checked['problems'];
  /** Whether to say what is missing: not before somebody tried to send it. */
  strict: boolean;
  /** A schedule says by itself when it runs, and gives no task to one robot. */
  recurring?: boolean;
}

/** The fields of a task, the same for one that runs once and for a schedule. */
export function TaskFields({ order, onChange, problems, strict, recurring = false }: Props) {
  const places = useDestinations();
  const { robots, names } = useFleets();
  const set = (change: Partial<Order>) => onChange({ ...order, ...change });
  const said = (name: keyof Checked['problems']) => (strict ? problems[name] : undefined);
  return (
    <Stack gap="md">
      <SegmentedControl
        aria-label="Kind of task"
        fullWidth
        value={order.kind}
        onChange={(kind) => set({ kind: kind })}
        data={kinds}
      />
      {order.kind === 'patrol' && (
        <Group align="flex-start" wrap="nowrap" gap="sm">
          <MultiSelect
            label="Places"
            description="In this order"
            placeholder={order.places.length === 0 ? 'Choose where to go' : ''}
            data={grouped(places, order.places)}
            value={order.places}
            onChange={(value) => set({ places: value })}
            error={said('places')}
            searchable
            openOnFocus={false}
            flex={1}
            data-autofocus
          />
          <NumberInput
            label="Rounds"
            description="How often"
            min={1}
            max={1000}
            value={order.rounds}
            onChange={(value) => set({ rounds: Number(value) || 1 })}
            w={96}
          />
        </Group>
      )}
      {order.kind === 'delivery' && (
        <>
          <Group grow align="flex-start">
            <PlaceSelect
              label="From"
              places={places}
              value={order.pickup}
              note={(p) => p.dispenser}
              error={said('pickup')}
              onChange={(p) => set({ pickup: p?.name ?? '', pickupHandler: p?.dispenser ?? '' })}
            />
            <PlaceSelect
              label="To"
              places={places}
              value={order.dropoff}
              note={(p) => p.ingestor}
              error={said('dropoff')}
              onChange={(p) => set({ dropoff: p?.name ?? '', dropoffHandler: p?.ingestor ?? '' })}
            />
          </Group>
          <Group align="flex-start" wrap="nowrap">
            <TextInput
              label="Goods"
              placeholder="Optional"
              value={order.sku}
              onChange={(event) => set({ sku: event.currentTarget.value })}
              flex={1}
            />
            <NumberInput label="Quantity" min={0} value={order.quantity} onChange={(value) => set({ quantity: Number(value) || 0 })} w={110} />
          </Group>
        </>
      )}
      {order.kind === 'clean' && (
        <TextInput
          label="Zone"
          description="As the fleet that cleans calls it"
          value={order.zone}
          error={said('zone')}
          onChange={(event) => set({ zone: event.currentTarget.value })}
          data-autofocus
        />
      )}
      {order.kind === 'compose' && (
        <>
          <TextInput
            label="Category"
            description="compose, or any other that a fleet understands"
            value={order.category}
            error={said('category')}
            onChange={(event) => set({ category: event.currentTarget.value })}
          />
          <Textarea
            label="Description"
            description="JSON: phases, each with an activity"
            autosize
            minRows={6}
            maxRows={16}
            value={order.json}
            error={problems.json}
            onChange={(event) => set({ json: event.currentTarget.value })}
            classNames={{ input: 'code' }}
            spellCheck={false}
          />
        </>
      )}
      <Group grow align="flex-start">
        <NativeSelect
          label="Who"
          value={order.who}
          onChange={(event) => set({ who: event.currentTarget.value })}
          data={[
            { value: '', label: 'Any robot: the one that is done first' },
            { group: 'Any of a fleet', items: names.map((n) => ({ value: `fleet:${n}`, label: n })) },
            ...(recurring
              ? []
              : [{ group: 'One robot', items: robots.map((r) => ({ value: `robot:${r.id}`, label: `${r.name} (${robotLook(r.status).word})` })) }]),
          ]}
        />
        {!recurring && (
          <TextInput
            label="Not before"
            type="datetime-local"
            value={order.start}
            error={said('start')}
            onChange={(event) => set({ start: event.currentTarget.value })}
          />
        )}
      </Group>
      <Checkbox label="Urgent: before what is not" checked={order.urgent} onChange={(event) => set({ urgent: event.currentTarget.checked })} />
    </Stack>
  );
}

interface PlaceProps {
  label: string;
  places: readonly Destination[];
  value: string;
  note: (place: Destination) => string | undefined;
  error: string | undefined;
  onChange: (place: Destination | undefined) => void;
}

function PlaceSelect({ label, places, value, note, error, onChange }: PlaceProps) {
  const chosen = places.find((p) => p.name === value);
  const machine = chosen === undefined ? undefined : note(chosen);
  return (
    <Select
      label={label}
      placeholder="Choose a place"
      description={machine === undefined ? (chosen === undefined ? ' ' : 'No machine stands there') : `With ${machine}`}
      data={grouped(places.filter((p) => note(p) !== undefined || !p.charger), value === '' ? [] : [value])}
      value={value === '' ? null : value}
      onChange={(name) => onChange(name === null ? undefined : (places.find((p) => p.name === name) ?? { name, level: '', charger: false, dispenser: undefined, ingestor: undefined }))}
      error={error}
      searchable
    />
  );
}

/** Places by level. What is chosen already stays a choice, whether the map has it or not. */
function grouped(places: readonly Destination[], chosen: readonly string[]) {
  const levels = [...new Set(places.map((p) => p.level))];
  const unknown = chosen.filter((name) => !places.some((p) => p.name === name));
  return [
    ...levels.map((level) => ({ group: level, items: places.filter((p) => p.level === level).map((p) => p.name) })),
    ...(unknown.length === 0 ? [] : [{ group: 'Not on the map', items: [...new Set(unknown)] }]),
  ];
}
