import { Button, Checkbox, Group, Modal, NativeSelect, NumberInput, Stack, Text, TextInput } from '@mantine/core';
import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Play } from 'lucide-react';
import { useState } from 'react';
import { useNavigate } from 'react-router';
import { appsAPI, type Choices } from '../api/apps';
import { ApiError } from '../api/errors';
import type { App, AppOption } from '../api/types';
import { useDraft } from '../lib/drafts';
import { Problem } from '../ui/problem';
import { chosenOf, defaultsOf, isLive, limitsOf, nameProblem, NAME_RULE, optionProblems, resourcesInWords } from './model';

/** Starts an app and goes to the page that shows how the start goes on, and then to the app. */
export function useLaunch(app: string) {
  const client = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: (body: { name?: string; options?: Choices }) => appsAPI.launch(app, body),
    onSuccess: async (session) => {
      await client.invalidateQueries({ queryKey: ['apps'] });
      await navigate(`/apps/mine/${encodeURIComponent(session.id)}?open=1`);
    },
  });
}

/** Whether starting the app asks for something. */
export function asks(app: App): boolean {
  return app.options.length > 0 || app.named > 0;
}

export function LaunchDialog({ app, onClose }: { app: App | undefined; onClose: () => void }) {
  return (
    <Modal opened={app !== undefined} onClose={onClose} title={`Start ${app?.name ?? ''}`}>
      {app !== undefined && <LaunchForm app={app} onClose={onClose} />}
    </Modal>
  );
}

interface Filled {
  readonly name: string;
  readonly values: Choices;
}

function LaunchForm({ app, onClose }: { app: App; onClose: () => void }) {
  const [kept, keep, clear] = useDraft<Filled>(`launch-${app.id}`, { name: '', values: {} });
  const [strict, setStrict] = useState(false);
  const values = { ...defaultsOf(app.options), ...kept.values };
  const launch = useLaunch(app.id);
  const name = kept.name.trim();
  const there = app.sessions.find((s) => s.name === name && isLive(s.state));
  const problems = optionProblems(app.options, values);
  const wrongName = nameProblem(name);
  const fine = Object.keys(problems).length === 0 && wrongName === undefined;
  const refused = launch.error instanceof ApiError ? launch.error.fields : [];
  const problemOf = (id: string) =>
    (strict ? problems[id] : undefined) ?? refused.find((f) => f.path === `options.${id}`)?.message;
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        setStrict(true);
        if (fine) launch.mutate({ options: chosenOf(app.options, values), ...(name === '' ? {} : { name }) }, { onSuccess: clear });
      }}
    >
      <Stack gap="md">
        {app.description !== '' && (
          <Text size="sm" c="dimmed">
            {app.description}
          </Text>
        )}
        <OptionFields
          options={app.options}
          values={values}
          problemOf={problemOf}
          onChange={(id, value) => keep({ ...kept, values: { ...kept.values, [id]: value } })}
        />
        {app.named > 0 && (
          <TextInput
            label="Name"
            description={`To run several side by side: up to ${app.named} with a name. ${NAME_RULE}`}
            placeholder="none: the usual one"
            value={kept.name}
            error={strict ? wrongName : undefined}
            autoComplete="off"
            onChange={(event) => keep({ ...kept, name: event.currentTarget.value })}
          />
        )}
        <Text size="xs" c="dimmed">
          {limitsOf(app).join(' · ')}
        </Text>
        {there !== undefined && (
          <Text size="sm" role="status">
            {name === '' ? 'Yours runs already' : `“${name}” runs already`}: it is opened as it is, and what is chosen here does not change it.
          </Text>
        )}
        {launch.error !== null && refused.every((f) => !f.path.startsWith('options.')) && <Problem error={launch.error} title={`${app.name} was not started`} />}
        <Group justify="flex-end" gap="xs">
          <Button variant="default" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" loading={launch.isPending} leftSection={<Play size={15} aria-hidden />} data-autofocus>
            {there === undefined ? 'Start' : 'Open'}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

interface FieldsProps {
  options: readonly AppOption[];
  values: Readonly<Choices>;
  problemOf: (id: string) => string | undefined;
  onChange: (id: string, value: unknown) => void;
}

/** The fields of an app's own launch form. */
export function OptionFields({ options, values, problemOf, onChange }: FieldsProps) {
  return options.map((o) => {
    const error = problemOf(o.id);
    const value = values[o.id];
    switch (o.type) {
      case 'choice':
        return (
          <NativeSelect
            key={o.id}
            label={o.label}
            error={error}
            value={String(value)}
            onChange={(event) => onChange(o.id, event.currentTarget.value)}
            data={(o.choices ?? []).map((c) => {
              const takes = resourcesInWords(c.resources);
              return { value: c.id, label: takes === '' ? c.id : `${c.id} – ${takes}` };
            })}
          />
        );
      case 'number':
        return (
          <NumberInput
            key={o.id}
            label={o.label}
            error={error}
            value={typeof value === 'number' ? value : ''}
            onChange={(next) => onChange(o.id, next)}
            {...(o.min === undefined ? {} : { min: o.min })}
            {...(o.max === undefined ? {} : { max: o.max })}
            clampBehavior="none"
          />
        );
      case 'boolean':
        return <Checkbox key={o.id} label={o.label} error={error} checked={value === true} onChange={(event) => onChange(o.id, event.currentTarget.checked)} />;
      case 'text':
        return (
          <TextInput key={o.id} label={o.label} error={error} value={typeof value === 'string' ? value : ''} autoComplete="off" onChange={(event) => onChange(o.id, event.currentTarget.value)} />
        );
    }
  });
}
