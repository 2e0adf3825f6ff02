import { ActionIcon, Alert, Anchor, Button, Group, Menu, NativeSelect, SegmentedControl, Stack, Text, Textarea, TextInput, Tooltip } from '@mantine/core';
import { useDebouncedValue, useHotkeys } from '@mantine/hooks';
import { notifications } from '@mantine/notifications';
import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { ChevronRight, LayoutGrid, MoreHorizontal, Play, Redo2, Save, Undo2 } from 'lucide-react';
import { useEffect, useMemo, useState } from 'react';
import { Link, useNavigate, useSearchParams } from 'react-router';
import { ApiError } from '../api/errors';
import { workflowsAPI } from '../api/workflows';
import { uuid } from '../lib/uuid';
import { Confirm } from '../ui/confirm';
import { PageView } from '../ui/page';
import { Panel } from '../ui/panel';
import { Problem } from '../ui/problem';
import { AddTab, type Piece, pieceFrom } from './add-tab';
import { Canvas, type Editing, nothingPicked, type Picked } from './canvas';
import { commandLine } from './command';
import { ComponentForm } from './component-form';
import { blank, type Component, type Document, type DocumentKind, kindWord, type Point, type Ref, rootOf, withRoot } from './document';
import { alike, keepDraft, loadDraft } from './draft';
import { type Located, locate, worst } from './finding';
import { FindingsTab } from './findings-tab';
import { adoptPorts, componentAt, connect, disconnect, movePositions, place, refusal, removeSlots, slotsOf, updateAt } from './graph';
import { begin, go, type History, redo, settle, undo } from './history';
import { JsonTab } from './json-tab';
import { arrange, INPUTS, NODE_WIDTH, OUTPUTS } from './layout';
import { SlotForm } from './slot-form';
import { useResolve, workflowQueries } from './query';
import classes from './editor.module.css';

interface Props {
  kind: DocumentKind;
  /** What is edited: the newest version, or something new. */
  start: Document;
  /** What the server has now; it may become newer than what is edited. */
  server: Document | undefined;
}

interface State {
  readonly history: History<Document>;
  /** The version that the changes stand on. */
  readonly base: Document | undefined;
  readonly restored: boolean;
}

type Tab = 'add' | 'form' | 'json' | 'findings';

function open(kind: DocumentKind, start: Document, server: Document | undefined): State {
  const draft = loadDraft(kind, server?.uid ?? 'new');
  const usable = draft !== undefined && draft.base === server?.timestamp && !alike(draft.doc, start);
  const history = begin(start);
  return { history: usable ? go(history, draft.doc) : history, base: server, restored: usable };
}

/** The workbench: a canvas, and beside it what one adds, forms, the text, and what is wrong. */
export function Bench({ kind, start, server }: Props) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const [search, setSearch] = useSearchParams();
  const [state, setState] = useState(() => open(kind, start, server));
  const [picked, setPicked] = useState<Picked>(nothingPicked);
  const [tab, setTab] = useState<Tab>(() => (holdsNodes(rootOf(start)) ? 'add' : 'form'));
  const [discarding, setDiscarding] = useState(false);
  const doc = state.history.present;
  const root = rootOf(doc);
  const resolve = useResolve(root);
  const isNew = state.base === undefined;
  const dirty = isNew || !alike(doc, state.base);

  const wanted = useMemo(() => (search.get('in') ?? '').split('/').filter((s) => s !== ''), [search]);
  const found = componentAt(root, wanted, resolve);
  const trail = found === undefined ? none : wanted;
  const { component, inline } = found ?? { component: root, inline: true };
  const readOnly = !inline;
  const drawn = holdsNodes(component);

  const [checkedDoc] = useDebouncedValue(doc, 350);
  const check = useQuery({
    queryKey: ['dry-run', checkedDoc],
    queryFn: ({ signal }) => workflowsAPI.validate(checkedDoc, signal),
    placeholderData: keepPreviousData,
    gcTime: 10_000,
    staleTime: 10_000,
  });
  const findings = useMemo(
    () =>
      (check.data?.findings ?? [])
        // What is new gets its uid when it is saved.
        .filter((f) => !(isNew && f.pointer === '/uid'))
        .map((f) => locate(checkedDoc, f)),
    [check.data, checkedDoc, isNew],
  );
  const errors = findings.filter((f) => f.severity === 'error').length;
  const keepsFromRunning = findings.filter((f) => f.severity !== 'warning').length;

  useEffect(() => {
    const id = state.base?.uid ?? 'new';
    keepDraft(kind, id, alike(checkedDoc, state.base) || checkedDoc !== doc || (isNew && alike(checkedDoc, start)) ? undefined : { base: state.base?.timestamp, doc: checkedDoc });
  }, [checkedDoc, doc, state.base, kind, isNew, start]);

  const change = (next: Document, about = '') => setState((s) => ({ ...s, history: go(s.history, next, about) }));
  const edit = (next: Component | ((c: Component) => Component), about = '') => {
    if (readOnly) return;
    const to = typeof next === 'function' ? next : () => next;
    setState((s) => {
      const before = s.history.present;
      return { ...s, history: go(s.history, withRoot(before, updateAt(rootOf(before), trail, to)), about === '' ? '' : `${trail.join('/')}:${about}`) };
    });
  };
  const walk = (to: readonly string[]) => {
    setPicked(nothingPicked);
    const there = componentAt(root, to, resolve)?.component;
    if (tab === 'add' && there !== undefined && !holdsNodes(there)) setTab('form');
    setSearch(
      (old) => {
        const next = new URLSearchParams(old);
        if (to.length === 0) next.delete('in');
        else next.set('in', to.join('/'));
        return next;
      },
      { replace: true },
    );
  };
  const pick = (next: Picked) => {
    setPicked(next);
    if (next.slots.length === 1 && tab === 'add') setTab('form');
  };

  const step = (how: (h: History<Document>) => History<Document>) => setState((s) => ({ ...s, history: how(s.history) }));
  useHotkeys([
    ['mod+Z', () => step(undo)],
    ['mod+shift+Z', () => step(redo)],
    ['mod+Y', () => step(redo)],
  ]);

  const stored = (saved: Document) => {
    keepDraft(kind, state.base?.uid ?? 'new', undefined);
    client.setQueryData(workflowQueries.document(kind, saved.uid ?? '').queryKey, saved);
    void client.invalidateQueries({ queryKey: ['workflows', `${kind}s`] });
    setState((s) => ({ history: settle(s.history, saved), base: saved, restored: false }));
  };
  const save = useMutation({
    mutationFn: () => (isNew ? workflowsAPI.create(doc) : workflowsAPI.save({ ...doc, timestamp: state.base.timestamp ?? '' })),
    onSuccess: (saved) => {
      stored(saved);
      notifications.show({ message: isNew ? `${saved.name ?? 'It'} is in the library.` : `Version ${saved.version?.current ?? 1} is saved.`, color: 'pine' });
      if (isNew) void navigate(`/workflows/library/edit/${kind}/${saved.uid ?? ''}`, { replace: true });
    },
  });
  const publish = useMutation({
    mutationFn: () => workflowsAPI.publish(doc),
    onSuccess: (saved) => {
      stored(saved);
      save.reset();
      notifications.show({ message: `Version ${saved.version?.current ?? 1} is published.`, color: 'pine' });
    },
  });
  useHotkeys([['mod+S', () => !save.isPending && dirty && save.mutate()]], []);
  const loadTheirs = async () => {
    const theirs = await client.query({ ...workflowQueries.document(kind, state.base?.uid ?? ''), staleTime: 0 });
    keepDraft(kind, theirs.uid ?? '', undefined);
    save.reset();
    setState({ history: begin(theirs), base: theirs, restored: false });
  };

  const putIn = async (piece: Piece, at?: Point) => {
    const before = slotsOf(component);
    const ref: Ref = 'kind' in piece ? blank(piece.kind, uuid(), kindWord(piece.kind)) : { uid: piece.uid, version: piece.version };
    const name = 'kind' in piece ? kindWord(piece.kind) : piece.name;
    const result = place(component, ref, name, at ?? roomIn(component));
    if (result === undefined) return;
    let next = result.component;
    // The first thing in a map or a conditional says what goes in and out of it.
    const inner = 'kind' in piece ? undefined : await client.query({ ...workflowQueries.component({ uid: piece.uid, version: piece.version }), staleTime: 'static' }).catch(() => undefined);
    if (inner !== undefined && before.every((s) => s.ref === undefined) && (next.inputs ?? []).length + (next.outputs ?? []).length === 0) next = adoptPorts(next, inner);
    edit(next);
    pick({ slots: [result.id], links: [] });
  };
  const editing: Editing = {
    onMove: (positions) => edit((c) => movePositions(c, positions), 'move'),
    onConnect: (source, target) => {
      const why = refusal(component, source, target, resolve);
      if (why === undefined) edit((c) => connect(c, source, target));
      else notifications.show({ message: why, color: 'yellow' });
    },
    refusal: (source, target) => refusal(component, source, target, resolve),
    onRemove: ({ slots, links }) => {
      edit((c) => removeSlots(disconnect(c, links), slots));
      setPicked(nothingPicked);
    },
    onDropped: (event, at) => {
      const piece = pieceFrom(event);
      if (piece !== undefined) void putIn(piece, { x: at.x - NODE_WIDTH / 2, y: at.y - 30 });
    },
  };
  const full = readOnly || !(component.implementation.type === 'graph' || slotsOf(component).some((s) => s.ref === undefined));
  const one = picked.slots.length === 1 && picked.slots[0] !== INPUTS && picked.slots[0] !== OUTPUTS ? picked.slots[0] : undefined;
  const known = one !== undefined && slotsOf(component).some((s) => s.id === one);

  const name = doc.name === undefined || doc.name === '' ? (isNew ? `New ${kind}` : 'Unnamed') : doc.name;
  const behind = server !== undefined && state.base !== undefined && server.timestamp !== state.base.timestamp && !save.isPending && !publish.isPending;
  const conflict = save.error instanceof ApiError && save.error.status === 409;
  return (
    <PageView
      title={name}
      lead={
        <>
          {isNew ? `A ${kind} that is not saved yet.` : `Version ${state.base.version?.current ?? 1} of this ${kind}.`}{' '}
          {!isNew && (
            <Anchor component={Link} to={`/workflows/library/${kind}/${doc.uid ?? ''}`} size="sm" underline="always">
              Versions and differences
            </Anchor>
          )}
        </>
      }
      actions={
        <>
          <Text size="xs" c="dimmed" role="status">
            {save.isPending || publish.isPending ? 'Being saved…' : dirty ? 'Not saved yet' : 'Saved'}
          </Text>
          <Button leftSection={<Save size={16} aria-hidden />} onClick={() => save.mutate()} loading={save.isPending} disabled={!dirty || (isNew && doc.type === 'workflow' && doc.workspace === '')}>
            Save
          </Button>
          {!isNew && kind === 'workflow' && (
            <Tooltip label={dirty ? 'Save it first: what is stored is what runs.' : keepsFromRunning > 0 ? `${keepsFromRunning} findings keep it from running.` : 'Give its inputs and start it'}>
              <Button
                variant="default"
                leftSection={<Play size={16} aria-hidden />}
                data-disabled={dirty || keepsFromRunning > 0 ? true : undefined}
                aria-disabled={dirty || keepsFromRunning > 0}
                onClick={() => {
                  if (!dirty && keepsFromRunning === 0) void navigate(`/workflows/library/run/${doc.uid ?? ''}`);
                }}
              >
                Run
              </Button>
            </Tooltip>
          )}
          {!isNew && (
            <Menu position="bottom-end">
              <Menu.Target>
                <ActionIcon variant="default" size={34} aria-label="More">
                  <MoreHorizontal size={16} />
                </ActionIcon>
              </Menu.Target>
              <Menu.Dropdown>
                <Menu.Item disabled={errors > 0} onClick={() => publish.mutate()}>
                  {errors > 0 ? `Publish: ${errors} errors keep it from that` : `Publish as version ${(state.base.version?.current ?? 1) + 1}`}
                </Menu.Item>
                <Menu.Item color="red" disabled={!dirty} onClick={() => setDiscarding(true)}>
                  Discard what is not saved
                </Menu.Item>
              </Menu.Dropdown>
            </Menu>
          )}
        </>
      }
    >
      {state.restored && (
        <Alert color="blue" title="Your changes from before are back" withCloseButton closeButtonLabel="Close" onClose={() => setState((s) => ({ ...s, restored: false }))}>
          They are not saved yet. Undo takes you to what is stored.
        </Alert>
      )}
      {behind && !conflict && (
        <Alert color="yellow" title="Somebody has saved it meanwhile">
          <Group gap="xs">
            <Text size="sm">What you see stands on an older state.</Text>
            <Button size="compact-sm" variant="default" onClick={() => void loadTheirs()}>
              {dirty ? 'Give mine up and load theirs' : 'Load it'}
            </Button>
          </Group>
        </Alert>
      )}
      {save.error !== null && (
        <Stack gap="xs">
          <Problem error={save.error} title={conflict ? 'Somebody was quicker' : 'It was not saved'} />
          {conflict && (
            <Group gap="xs">
              <Button size="compact-sm" variant="default" onClick={() => void loadTheirs()}>
                Give mine up and load theirs
              </Button>
              <Button size="compact-sm" variant="default" onClick={() => publish.mutate()} loading={publish.isPending}>
                Publish mine as a new version
              </Button>
            </Group>
          )}
        </Stack>
      )}
      {publish.error !== null && <Problem error={publish.error} title="It was not published" />}
      <div className={classes.bench}>
        <Panel padded={false}>
          <div className={classes.stage}>
            <div className={classes.stageHead}>
              <Crumbs root={name} trail={trail} readOnly={readOnly} onWalk={walk} />
              <Group gap={4} wrap="nowrap">
                <Tool label="Undo" disabled={state.history.past.length === 0} onClick={() => step(undo)}>
                  <Undo2 size={16} />
                </Tool>
                <Tool label="Redo" disabled={state.history.future.length === 0} onClick={() => step(redo)}>
                  <Redo2 size={16} />
                </Tool>
                <Tool
                  label="Arrange the nodes"
                  disabled={readOnly || component.implementation.type !== 'graph'}
                  onClick={() => edit((c) => movePositions(c, arrange(c, resolve)))}
                >
                  <LayoutGrid size={16} />
                </Tool>
              </Group>
            </div>
            <div className={classes.stageBody}>
              {drawn ? (
                <Canvas
                  key={trail.join('/')}
                  label={`The inside of ${trail.at(-1) ?? name}`}
                  component={component}
                  resolve={resolve}
                  findings={findings}
                  trail={trail}
                  picked={picked}
                  onPick={pick}
                  onOpen={(slot) => walk([...trail, slot])}
                  {...(readOnly ? {} : { editing })}
                />
              ) : (
                <BrickView component={component} />
              )}
            </div>
          </div>
        </Panel>
        <Panel padded={false}>
          <div className={classes.side}>
            <div className={classes.stageHead}>
              <SegmentedControl
                aria-label="Beside the canvas"
                size="xs"
                fullWidth
                flex={1}
                value={tab}
                onChange={(t) => setTab(t)}
                data={[
                  { value: 'add', label: 'Add' },
                  { value: 'form', label: 'Form' },
                  { value: 'json', label: 'JSON' },
                  { value: 'findings', label: findings.length === 0 ? 'Findings' : `Findings (${findings.length})` },
                ]}
              />
            </div>
            <div className={classes.sideBody} data-testid="side" data-worst={worst(findings)}>
              {tab === 'add' && <AddTab uid={doc.uid} full={full} onAdd={(piece) => void putIn(piece)} />}
              {tab === 'form' && (
                <fieldset className={classes.fieldset} disabled={readOnly}>
                  <legend className="visually-hidden">Form</legend>
                  {readOnly && (
                    <Text size="sm" c="dimmed" mb="sm">
                      This is from the library. Change it there, or copy it here to change it for this {kind} alone.
                    </Text>
                  )}
                  {trail.length === 0 && doc.type === 'workflow' && one === undefined && <WorkflowForm doc={doc} isNew={isNew} onChange={change} />}
                  {known ? (
                    <SlotForm
                      component={component}
                      slot={one}
                      resolve={resolve}
                      onChange={edit}
                      onOpen={() => walk([...trail, one])}
                      onRenamed={(id) => setPicked({ slots: [id], links: [] })}
                      onGone={() => setPicked(nothingPicked)}
                    />
                  ) : (
                    <ComponentForm component={component} onChange={edit} />
                  )}
                </fieldset>
              )}
              {tab === 'json' && <JsonTab doc={doc} readOnly={false} onChange={(next) => change(next, 'json')} />}
              {tab === 'findings' && (
                <FindingsTab
                  findings={findings}
                  checked={check.data !== undefined}
                  onChoose={(f) => {
                    chooseFinding(f, walk, setPicked);
                    setTab('form');
                  }}
                />
              )}
            </div>
          </div>
        </Panel>
      </div>
      <Confirm
        opened={discarding}
        title="Discard your changes"
        action="Discard"
        busy={false}
        error={undefined}
        onConfirm={() => {
          setDiscarding(false);
          if (state.base !== undefined) setState({ history: begin(state.base), base: state.base, restored: false });
        }}
        onClose={() => setDiscarding(false)}
      >
        Everything since the last save goes away. What is stored stays.
      </Confirm>
    </PageView>
  );
}

const none: readonly string[] = [];

function holdsNodes({ implementation: { type } }: Component): boolean {
  return type !== 'brick' && type !== 'any';
}

function chooseFinding(f: Located, walk: (to: readonly string[]) => void, setPicked: (p: Picked) => void): void {
  if (f.on.kind === 'self' && f.trail.length > 0) {
    walk(f.trail.slice(0, -1));
    setPicked({ slots: f.trail.slice(-1), links: [] });
    return;
  }
  walk(f.trail);
  if (f.on.kind === 'edge' || f.on.kind === 'in' || f.on.kind === 'out') setPicked({ slots: [], links: [`${f.on.kind}:${f.on.index}`] });
}

/** Right of everything that is there. */
function roomIn(component: Component): Point {
  const spots = slotsOf(component).flatMap((s) => (s.at === undefined ? [] : [s.at]));
  if (spots.length === 0) return { x: 0, y: 0 };
  const last = spots.reduce((a, b) => (b.x > a.x ? b : a));
  return { x: last.x + NODE_WIDTH + 72, y: last.y };
}

function Tool({ label, disabled, onClick, children }: { label: string; disabled: boolean; onClick: () => void; children: React.ReactNode }) {
  return (
    <Tooltip label={label}>
      <ActionIcon aria-label={label} disabled={disabled} onClick={onClick} {...(disabled ? { bg: 'transparent' } : {})}>
        {children}
      </ActionIcon>
    </Tooltip>
  );
}

function Crumbs({ root, trail, readOnly, onWalk }: { root: string; trail: readonly string[]; readOnly: boolean; onWalk: (to: readonly string[]) => void }) {
  return (
    <nav className={classes.crumbs} aria-label="Where you are in it">
      <Button size="compact-xs" variant={trail.length === 0 ? 'light' : 'subtle'} onClick={() => onWalk([])}>
        {root}
      </Button>
      {trail.map((slot, i) => (
        <Group key={i} gap={2} wrap="nowrap">
          <ChevronRight size={13} aria-hidden />
          <Button size="compact-xs" variant={i === trail.length - 1 ? 'light' : 'subtle'} onClick={() => onWalk(trail.slice(0, i + 1))}>
            {slot}
          </Button>
        </Group>
      ))}
      {readOnly && (
        <Text size="xs" c="dimmed" ml={6}>
          from the library, to look at
        </Text>
      )}
    </nav>
  );
}

function WorkflowForm({ doc, isNew, onChange }: { doc: Document & { type: 'workflow' }; isNew: boolean; onChange: (doc: Document, about?: string) => void }) {
  const workspaces = useQuery(workflowQueries.workspaces());
  const mine = (workspaces.data ?? []).filter((w) => w.roles.includes('ws-collaborator'));
  return (
    <Stack gap="sm" mb="lg" pb="lg" style={{ borderBottom: '1px solid var(--mantine-color-default-border)' }}>
      <TextInput label="Workflow" value={doc.name ?? ''} onChange={(e) => onChange({ ...doc, name: e.currentTarget.value }, 'workflow-name')} />
      <Textarea
        label="What it is for"
        autosize
        minRows={1}
        maxRows={6}
        value={doc.description ?? ''}
        onChange={(e) => onChange({ ...doc, description: e.currentTarget.value }, 'workflow-description')}
      />
      {isNew ? (
        <NativeSelect
          label="Workspace"
          description="Who may see and run it"
          value={doc.workspace}
          onChange={(e) => onChange({ ...doc, workspace: e.currentTarget.value })}
          data={[{ value: '', label: 'choose one' }, ...mine.map((w) => ({ value: w.name, label: w.name }))]}
        />
      ) : (
        <Text size="sm">
          In the workspace <b>{doc.workspace}</b>
        </Text>
      )}
    </Stack>
  );
}

/** A brick has nothing inside to draw: what it runs is shown. */
function BrickView({ component }: { component: Component }) {
  const it = component.implementation;
  if (it.type !== 'brick') {
    return (
      <div className={classes.scrolled}>
        <Text size="sm" c="dimmed">
          A placeholder. Choose in the form what kind of component it becomes.
        </Text>
      </div>
    );
  }
  const image = it.container.image === undefined || it.container.image === '' ? 'no image yet' : it.container.image;
  return (
    <div className={classes.scrolled}>
      <Stack gap="sm" maw={640}>
        <Text size="sm">
          Runs in <b>{image}</b>:
        </Text>
        <pre className={classes.command}>{commandLine(component, it).join(' ') || 'nothing yet'}</pre>
        {(it.results ?? []).map((r, i) => (
          <Text size="sm" key={i}>
            Output <b>{r.target.port}</b> is {typeof r.source === 'string' ? 'nothing' : 'file' in r.source ? <>the file {r.source.file}</> : <>the volume {r.source.volume}</>}.
          </Text>
        ))}
        <Text size="xs" c="dimmed">
          Names in ‹brackets› are inputs. Change all of it in the form.
        </Text>
      </Stack>
    </div>
  );
}
