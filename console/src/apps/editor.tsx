import { Alert, Anchor, Button, Group, SegmentedControl, Stack, Text, Textarea } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronLeft, CircleCheck, Save, Trash2 } from 'lucide-react';
import { useRef, useState } from 'react';
import { Link, useNavigate, useParams, useSearchParams } from 'react-router';
import { appsAPI } from '../api/apps';
import type { App } from '../api/types';
import { useDraft } from '../lib/drafts';
import { count, sentence } from '../lib/format';
import { Answer } from '../ui/answer';
import { Confirm } from '../ui/confirm';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { Status } from '../ui/status';
import classes from './apps.module.css';
import { EditorFields } from './editor-fields';
import { at, change, type Entry, essential, type Fault, idProblem, type Language, lineOf, lineRange, pathOf, read, text as textOf, translate, write } from './entry';
import { AppIcon } from './icon';
import { OptionFields } from './launch-form';
import { defaultsOf, limitsOf, whoMay } from './model';
import { appsQueries } from './queries';

const first = `# What people see of it
id:
name:
description:

# What runs: an image, or a command
image:

# Who may use it
allow:
  roles: [ app-user ]
`;

/** Makes or changes an entry of the catalogue, in fields and as text, which say the same at any time. */
export default function EditorPage() {
  const { id = '' } = useParams();
  const [search] = useSearchParams();
  const from = search.get('from') ?? '';
  const isNew = id === '';
  const source = isNew ? from : id;
  const query = useQuery({ ...appsQueries.entry(source), enabled: source !== '' });
  const name = query.data?.app.name ?? source;
  return (
    <PageView
      title={!isNew ? `Edit ${name}` : from === '' ? 'New app' : `New app after ${name}`}
      lead={
        <Anchor component={Link} to="/apps/catalogue" size="sm">
          <ChevronLeft size={13} aria-hidden /> Catalogue
        </Anchor>
      }
    >
      {source === '' ? (
        <Editor isNew etag="" given={first} draft="new" />
      ) : (
        <Answer query={query} title="The entry could not be read">
          {({ app, etag }) =>
            app.entry === undefined ? (
              <Alert color="yellow" title="This entry is not yours to change">
                It belongs to the group {app.group}, and changing it needs apps.admin on that.
              </Alert>
            ) : app.read_only && !isNew ? (
              <Alert color="blue" title="This entry stands in the configuration">
                It is changed there, under apps.catalogue.{' '}
                <Anchor component={Link} to={`/apps/catalogue/new?from=${app.id}`}>
                  Make a new app after it
                </Anchor>
                .
              </Alert>
            ) : (
              <Loaded app={app} etag={etag} isNew={isNew} />
            )
          }
        </Answer>
      )}
    </PageView>
  );
}

function Loaded({ app, etag, isNew }: { app: App; etag: string; isNew: boolean }) {
  // The text is the one that was read first: what others change meanwhile must not take it away.
  const [was, setWas] = useState({ app, etag });
  const entry = essential(was.app.entry as Entry);
  const { id: _id, ...rest } = entry;
  return (
    <>
      {!isNew && was.etag !== etag && (
        <Alert color="yellow" title="Somebody has changed this entry meanwhile">
          <Group gap="sm">
            <Text size="sm">What you write cannot be saved over theirs.</Text>
            <Button size="compact-sm" variant="default" onClick={() => setWas({ app, etag })}>
              Take theirs and drop mine
            </Button>
          </Group>
        </Alert>
      )}
      <Editor
        key={was.etag}
        isNew={isNew}
        etag={isNew ? '' : was.etag}
        given={write(isNew ? rest : entry, 'yaml')}
        draft={isNew ? `from-${app.id}` : `${app.id}-${was.etag}`}
        app={was.app}
      />
    </>
  );
}

interface Props {
  isNew: boolean;
  etag: string;
  given: string;
  draft: string;
  app?: App;
}

function Editor({ isNew, etag, given, draft, app }: Props) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [kept, keep, clear] = useDraft<{ text: string; language: Language }>(`app-${draft}`, { text: given, language: 'yaml' });
  const { text, language } = kept;
  const known = useQuery(appsQueries.list());
  const drivers = useQuery(appsQueries.drivers());
  const box = useRef<HTMLTextAreaElement>(null);
  const said = read(text);
  // While the text cannot be read, the fields show what it said last.
  const [last, setLast] = useState<Entry>(said.entry ?? {});
  if (said.entry !== undefined && JSON.stringify(said.entry) !== JSON.stringify(last)) setLast(said.entry);
  const entry = said.entry ?? last;
  const id = isNew ? textOf(at(entry, ['id'])) : (app?.id ?? '');
  const wrongId = isNew ? idProblem(id, (known.data ?? []).map((a) => a.id)) : undefined;
  const check = useCheck(said.entry, wrongId === undefined ? id : '');
  const faults: Fault[] = [
    ...(said.fault === undefined ? [] : [said.fault]),
    ...(wrongId === undefined ? [] : [{ key: 'id', message: wrongId }]),
    ...check.findings,
  ];
  const save = useMutation({
    mutationFn: () => appsAPI.put(id, entry, etag),
    onSuccess: async (saved) => {
      clear();
      await client.invalidateQueries({ queryKey: ['apps'] });
      notifications.show({ message: isNew ? `${saved.name} is in the catalogue.` : `${saved.name} is changed. What runs keeps what it was started with.`, color: 'pine' });
      await navigate('/apps/catalogue');
    },
  });
  const set = (key: string, value: unknown) => keep({ language, text: change(text, language, pathOf(key), value) });
  const show = (line: number) => {
    const [start, end] = lineRange(text, line);
    box.current?.focus();
    box.current?.setSelectionRange(start, end);
  };
  const changed = text !== given;
  return (
    <form
      onSubmit={(event) => {
        // What is submitted in a dialog above this form comes by here too.
        if (event.target !== event.currentTarget) return;
        event.preventDefault();
        if (faults.length === 0) save.mutate();
      }}
    >
      <Stack gap="md">
        <div className={classes.editor}>
          <Panel title="Fields" hint={said.fault === undefined ? undefined : 'They wait until the text can be read'}>
            <fieldset className={classes.group} disabled={said.fault !== undefined}>
              <EditorFields entry={entry} faults={faults} isNew={isNew} drivers={(drivers.data ?? []).map((d) => d.name)} onChange={set} />
            </fieldset>
          </Panel>
          <Stack gap="md">
            <Panel
              title="Text"
              hint="As it would stand in the configuration"
              actions={
                <SegmentedControl
                  size="xs"
                  aria-label="Language"
                  value={language}
                  disabled={said.fault !== undefined}
                  onChange={(next) => keep({ language: next, text: translate(text, next) })}
                  data={[
                    { value: 'yaml', label: 'YAML' },
                    { value: 'json', label: 'JSON' },
                  ]}
                />
              }
            >
              <Textarea
                ref={box}
                className={classes.text}
                aria-label="Entry as text"
                autosize
                minRows={14}
                maxRows={32}
                spellCheck={false}
                value={text}
                onChange={(event) => keep({ language, text: event.currentTarget.value })}
              />
            </Panel>
            <Panel title="Findings" hint="Looked for while you write; nothing is changed until you save">
              <Findings faults={faults} text={text} checking={check.pending} onShow={show} />
              {check.error !== null && <Problem error={check.error} title="It could not be looked at" />}
            </Panel>
            {check.app !== undefined && faults.length === 0 && <Preview app={check.app} />}
          </Stack>
        </div>
        {save.error !== null && <Problem error={save.error} title="It was not saved" />}
        <Group justify="space-between" gap="xs">
          {isNew || app === undefined ? <span /> : <Remove app={app} />}
          <Group gap="xs">
            {changed && (
              <Button variant="default" onClick={clear}>
                Undo all
              </Button>
            )}
            <Button type="submit" leftSection={<Save size={15} aria-hidden />} loading={save.isPending} disabled={faults.length > 0 || check.pending || (!isNew && !changed)}>
              {isNew ? 'Put into the catalogue' : 'Save'}
            </Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}

/** Asks the server what is wrong, a moment after the last key. Without an id that holds, a stand-in takes its place. */
function useCheck(entry: Entry | undefined, id: string) {
  const [settled] = useDebouncedValue(JSON.stringify({ entry, id }), 400);
  const asked = JSON.parse(settled) as { entry?: Entry; id: string };
  const query = useQuery({
    queryKey: ['app-check', settled],
    queryFn: ({ signal }) => {
      const as = asked.id === '' ? 'new-app' : asked.id;
      return appsAPI.check(as, { ...asked.entry, id: as }, signal);
    },
    enabled: asked.entry !== undefined,
    placeholderData: keepPreviousData,
    staleTime: Infinity,
    retry: false,
  });
  return {
    app: asked.id === '' ? undefined : query.data?.app,
    findings: entry === undefined ? [] : (query.data?.findings ?? []).map((f) => ({ key: f.path, message: f.message })),
    error: query.error,
    pending: query.isFetching || settled !== JSON.stringify({ entry, id }),
  };
}

function Findings({ faults, text, checking, onShow }: { faults: readonly Fault[]; text: string; checking: boolean; onShow: (line: number) => void }) {
  if (faults.length === 0) {
    return (
      <Text size="sm" c="dimmed" role="status">
        <CircleCheck size={14} aria-hidden /> {checking ? 'Looking…' : 'Nothing is wrong with it.'}
      </Text>
    );
  }
  return (
    <Stack gap="xs">
      <div role="status">
        <Status tone="bad">{count(faults.length, 'thing')} to mend</Status>
      </div>
      <ul className={classes.findings} aria-label="Findings">
        {faults.map((f) => {
          const line = f.line ?? lineOf(text, f.key);
          return (
            <li key={`${f.key} ${f.message}`}>
              {line !== undefined && (
                <Anchor component="button" type="button" size="sm" onClick={() => onShow(line)}>
                  Line {line}
                </Anchor>
              )}{' '}
              {f.key !== '' && <b className="code">{f.key}</b>} {sentence(f.message)}
            </li>
          );
        })}
      </ul>
    </Stack>
  );
}

/** The card and the launch form as people will see them. */
function Preview({ app }: { app: App }) {
  return (
    <Panel title="As people will see it">
      <Stack gap="sm">
        <Group gap="sm" wrap="nowrap">
          <AppIcon app={app} />
          <div>
            <Text fw={650}>{app.name}</Text>
            <Text size="xs" c="dimmed">
              For {whoMay(app.allow, app.group)}
            </Text>
          </div>
        </Group>
        {app.description !== '' && <Text size="sm">{app.description}</Text>}
        <Text size="xs" c="dimmed">
          {limitsOf(app).join(' · ')}
        </Text>
        {app.options.length > 0 && (
          <fieldset className={classes.group} disabled aria-label="Launch form">
            <Stack gap="xs">
              <OptionFields options={app.options} values={defaultsOf(app.options)} problemOf={() => undefined} onChange={() => undefined} />
            </Stack>
          </fieldset>
        )}
      </Stack>
    </Panel>
  );
}

function Remove({ app }: { app: App }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [asking, setAsking] = useState(false);
  const remove = useMutation({
    mutationFn: () => appsAPI.remove(app.id),
    onSuccess: async () => {
      notifications.show({ message: `${app.name} is out of the catalogue.`, color: 'pine' });
      await navigate('/apps/catalogue');
      await client.invalidateQueries({ queryKey: ['apps'] });
    },
  });
  return (
    <>
      <Button variant="default" color="red" leftSection={<Trash2 size={15} aria-hidden />} onClick={() => setAsking(true)}>
        Take out…
      </Button>
      <Confirm
        opened={asking}
        title={`Take ${app.name} out of the catalogue`}
        type={app.id}
        action="Take it out"
        busy={remove.isPending}
        error={remove.error}
        onConfirm={() => remove.mutate()}
        onClose={() => setAsking(false)}
      >
        Nobody can start it any more. What runs of it goes on until it is stopped, and storage stays.
      </Confirm>
    </>
  );
}
