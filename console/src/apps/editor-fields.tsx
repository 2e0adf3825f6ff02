import { Button, Checkbox, NativeSelect, NumberInput, Stack, TagsInput, Text, Textarea, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Plus, X } from 'lucide-react';
import { type ReactNode, useState } from 'react';
import { lodge } from '../api/lodge';
import { may } from '../frame/may';
import { useMe } from '../frame/me-context';
import classes from './apps.module.css';
import { at, type Entry, type Fault, faultsAt, linesOf, pathOf, text, variablesOf, words } from './entry';
import { iconNames } from './icons';

interface Props {
  entry: Entry;
  faults: readonly Fault[];
  isNew: boolean;
  drivers: readonly string[];
  onChange: (key: string, value: unknown) => void;
}

/** An entry's fields, as far as a form is better than text. What has no field here stays as the text has it. */
export function EditorFields({ entry, faults, isNew, drivers, onChange }: Props) {
  const me = useMe();
  const roles = useQuery({
    queryKey: ['access', 'roles', 'names'],
    queryFn: async () => (await lodge.roles({ limit: 200 })).items.map((r) => r.name),
    enabled: may(me, 'roles.read'),
  });
  const value = (key: string) => at(entry, pathOf(key));
  const own = (key: string, below = false) => faultsAt(faults, key, below);
  const line = (key: string, label: string, more: { description?: string; placeholder?: string; required?: boolean } = {}) => (
    <TextInput label={label} value={text(value(key))} error={own(key)} autoComplete="off" spellCheck={false} onChange={(event) => onChange(key, event.currentTarget.value)} {...more} />
  );
  const number = (key: string, label: string, more: { description?: string; placeholder?: string; step?: number } = {}) => (
    <NumberInput label={label} value={numeric(value(key))} error={own(key)} min={0} onChange={(next) => onChange(key, next)} {...more} />
  );
  const several = (key: string, label: string, more: { description?: string; placeholder?: string; data?: string[] } = {}) => (
    <TagsInput label={label} value={words(value(key))} error={own(key, true)} onChange={(next) => onChange(key, next)} clearable clearButtonProps={{ 'aria-label': `Clear ${label}` }} {...more} />
  );
  const tick = (key: string, label: string, description: string) => (
    <Checkbox label={label} description={description} checked={value(key) === true} error={own(key)} onChange={(event) => onChange(key, event.currentTarget.checked ? true : undefined)} />
  );
  return (
    <Stack gap="lg">
      <Section title="What it is">
        {isNew && line('id', 'Id', { description: 'For ever: it stands in addresses.', placeholder: 'notebooks', required: true })}
        {line('name', 'Name', { placeholder: text(value('id')) })}
        <NativeSelect
          label="Picture"
          value={text(value('icon'))}
          error={own('icon')}
          onChange={(event) => onChange('icon', event.currentTarget.value)}
          data={[{ value: '', label: 'its letters' }, ...iconNames, ...(isOther(value('icon')) ? [text(value('icon'))] : [])]}
        />
        {line('group', 'Access group', { placeholder: 'apps', description: 'Permissions on it decide where nobody is named below.' })}
        <Wide>
          <Textarea label="Description" autosize minRows={2} value={text(value('description'))} error={own('description')} onChange={(event) => onChange('description', event.currentTarget.value)} />
        </Wide>
      </Section>
      <Section title="Who may use it">
        {several('allow.roles', 'Roles', { placeholder: 'scientist', data: roles.data ?? [] })}
        {several('allow.users', 'People', { placeholder: 'ana', description: '* is everybody.' })}
        {several('allow.deny_roles', 'But not the roles', { data: roles.data ?? [] })}
      </Section>
      <Section title="What runs">
        <NativeSelect
          label="Driver"
          value={text(value('driver'))}
          error={own('driver')}
          onChange={(event) => onChange('driver', event.currentTarget.value)}
          data={[{ value: '', label: 'the site’s usual one' }, ...drivers, ...(isOtherThan(value('driver'), drivers) ? [text(value('driver'))] : [])]}
        />
        {line('image', 'Image', { placeholder: 'registry.example.org/lab/notes:1' })}
        {number('port', 'Port', { placeholder: '8080' })}
        <Wide>
          <Lines label="Command" description="One argument a line; no shell reads it. {port}, {user}, {options.x} are filled in." value={words(value('command'))} error={own('command', true)} onChange={(list) => onChange('command', list)} />
          <Lines
            label="Environment"
            description="NAME=value, one a line."
            value={linesOf(value('env'))}
            error={own('env', true)}
            onChange={(list) => onChange('env', variablesOf(list))}
            same={(list) => linesOf(variablesOf(list))}
          />
        </Wide>
      </Section>
      <Section title="How much">
        {number('resources.cpu', 'Cores', { placeholder: '1', step: 0.5 })}
        {line('resources.memory', 'Memory', { placeholder: '2Gi' })}
        {number('resources.pids', 'Processes', { placeholder: '512' })}
        {line('resources.disk', 'Disk', { placeholder: 'no limit' })}
        {number('resources.gpu', 'GPUs', { placeholder: '0' })}
        {number('named', 'Named ones', { placeholder: '0', description: 'A person may have besides the usual one.' })}
      </Section>
      <Section title="How long">
        {line('idle_timeout', 'Closes without use after', { placeholder: value('never_idle') === true ? 'never' : '1h' })}
        {line('max_lifetime', 'Runs at most', { placeholder: 'no end' })}
        {line('extend.max', 'Can be extended by', { placeholder: '4h' })}
        {line('ready.path', 'Answers at', { placeholder: '/' })}
        {line('ready.timeout', 'Answers within', { placeholder: '1m' })}
        {line('start_timeout', 'Starts within', { placeholder: '5m' })}
        <Wide>
          {tick('never_idle', 'Never closes for lack of use', 'A forgotten one then runs until somebody stops it.')}
          {tick('autostart', 'Starts when its address is opened', 'Otherwise a page with a button comes first.')}
        </Wide>
      </Section>
      <Section title="Storage">
        <Wide>
          <Volumes value={value('volumes')} faults={faults} onChange={onChange} />
        </Wide>
      </Section>
      <Section title="What it may do">
        <NativeSelect
          label="Connect to"
          value={text(value('security.egress'))}
          error={own('security.egress')}
          onChange={(event) => onChange('security.egress', event.currentTarget.value)}
          data={[
            { value: '', label: 'the internet, no private networks' },
            { value: 'none', label: 'nothing' },
            { value: 'all', label: 'everything' },
          ]}
        />
        {line('security.run_as', 'Runs as user', { placeholder: '10001' })}
        {several('identity.headers', 'Is told about its user', { placeholder: 'X-Lodge-User', data: ['userid', 'X-Lodge-User', 'X-Lodge-Name', 'X-Lodge-Email', 'X-Lodge-Roles', 'X-Lodge-App', 'X-Lodge-Session'] })}
        <Wide>{tick('trusted', 'Trusted', 'It may share Lodge’s own address and see its credentials. Only for what you wrote yourself.')}</Wide>
      </Section>
      <Text size="xs" c="dimmed">
        The launch form’s options, secret variables, response headers and what counts as use are written in the text.
      </Text>
    </Stack>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <fieldset className={classes.group}>
      <legend className={classes.legend}>{title}</legend>
      <div className={classes.fields}>{children}</div>
    </fieldset>
  );
}

function Wide({ children }: { children: ReactNode }) {
  return (
    <Stack gap="sm" style={{ gridColumn: '1 / -1' }}>
      {children}
    </Stack>
  );
}

interface LinesProps {
  label: string;
  description: string;
  value: readonly string[];
  error: string | undefined;
  onChange: (lines: string[]) => void;
  /** The lines as they come back once they were stored. */
  same?: (lines: string[]) => string[];
}

/** A list as lines of text. What is being typed stays as it is, as long as it says the same. */
function Lines({ label, description, value, error, onChange, same = (list) => list }: LinesProps) {
  const [typed, setTyped] = useState(() => value.join('\n'));
  const list = typed.split('\n').filter((l) => l.trim() !== '');
  const shown = JSON.stringify(same(list)) === JSON.stringify(value) ? typed : value.join('\n');
  return (
    <Textarea
      label={label}
      description={description}
      className={classes.text}
      autosize
      minRows={2}
      maxRows={10}
      spellCheck={false}
      value={shown}
      error={error}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        onChange(event.currentTarget.value.split('\n').filter((l) => l.trim() !== ''));
      }}
    />
  );
}

const keepers = [
  { value: 'user', label: 'each person' },
  { value: 'session', label: 'each app session' },
  { value: 'app', label: 'all who use this app' },
  { value: 'shared', label: 'everybody' },
];

function Volumes({ value, faults, onChange }: { value: unknown; faults: readonly Fault[]; onChange: (key: string, value: unknown) => void }) {
  const list = Array.isArray(value) ? (value as Entry[]) : [];
  return (
    <>
      {list.map((volume, i) => {
        const key = (name: string) => `volumes[${i}].${name}`;
        const field = (name: string, label: string, placeholder: string) => (
          <TextInput size="xs" label={label} placeholder={placeholder} value={text(volume[name])} error={faultsAt(faults, key(name))} autoComplete="off" spellCheck={false} onChange={(event) => onChange(key(name), event.currentTarget.value)} />
        );
        return (
          <div key={i} className={classes.volume} role="group" aria-label={`Storage ${i + 1}`}>
            {field('name', 'Name', 'home')}
            {field('path', 'Seen at', '/home/user')}
            <NativeSelect size="xs" label="One for" value={text(volume.per) === '' ? 'user' : text(volume.per)} error={faultsAt(faults, key('per'))} onChange={(event) => onChange(key('per'), event.currentTarget.value)} data={keepers} />
            {field('size', 'Size', 'no limit')}
            {field('source', 'Folder of the machine', 'none')}
            <Checkbox size="xs" label="Read only" checked={volume.read_only === true} onChange={(event) => onChange(key('read_only'), event.currentTarget.checked ? true : undefined)} />
            <div>
              <Button size="compact-xs" variant="subtle" color="gray" leftSection={<X size={13} aria-hidden />} onClick={() => onChange('volumes', list.filter((_, j) => j !== i))} aria-label={`Remove storage ${i + 1}`}>
                Remove
              </Button>
            </div>
          </div>
        );
      })}
      <div>
        <Button size="compact-sm" variant="default" leftSection={<Plus size={14} aria-hidden />} onClick={() => onChange('volumes', [...list, { name: list.length === 0 ? 'home' : `data-${list.length}`, path: list.length === 0 ? '/home/user' : `/data/${list.length}` }])}>
          Add storage
        </Button>
      </div>
    </>
  );
}

function numeric(value: unknown): number | string {
  return typeof value === 'number' ? value : text(value);
}

function isOther(icon: unknown): boolean {
  return isOtherThan(icon, iconNames);
}

function isOtherThan(value: unknown, known: readonly string[]): boolean {
  const written = text(value);
  return written !== '' && !known.includes(written);
}
