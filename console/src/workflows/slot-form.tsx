import { Button, Group, NativeSelect, Stack, Text, TextInput, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Copy, FolderOpen, Trash2 } from 'lucide-react';
import { useState } from 'react';
import { uuid } from '../lib/uuid';
import { Facts } from '../ui/facts';
import { type Component, isInline, kindWord, type Port, type Ref, referenceOf, typeWord, type VersionRef } from './document';
import { adoptPorts, connect, disconnect, feedOf, nodeIdForm, removeSlots, renameNode, replaceRef, type Resolve, slotsOf, sourcesFor } from './graph';
import { workflowQueries } from './query';
import type { Change } from './component-form';

interface Props {
  component: Component;
  slot: string;
  resolve: Resolve;
  onChange: Change;
  onOpen: () => void;
  onRenamed: (id: string) => void;
  onGone: () => void;
}

/** One node: its id, what it is, and what feeds each of its inputs. */
export function SlotForm({ component, slot, resolve, onChange, onOpen, onRenamed, onGone }: Props) {
  const ref = slotsOf(component).find((s) => s.id === slot)?.ref;
  const inner = resolve(ref);
  const named = referenceOf(ref);
  const isGraph = component.implementation.type === 'graph';
  return (
    <Stack gap="md">
      {isGraph ? (
        <IdField
          key={slot}
          id={slot}
          taken={slotsOf(component).map((s) => s.id)}
          onChange={(id) => {
            onChange(renameNode(component, slot, id));
            onRenamed(id);
          }}
        />
      ) : (
        <Text fw={650}>{slotsOf(component).find((s) => s.id === slot)?.label}</Text>
      )}
      {ref === undefined ? (
        <Text size="sm" c="dimmed">
          Empty. Drag a component here, or choose one under Add.
        </Text>
      ) : (
        <>
          <Facts
            items={[
              ['Component', inner?.name ?? (named === undefined ? 'unnamed' : 'not in the library')],
              ['Kind', kindWord(inner?.implementation.type)],
              ['Kept', isInline(ref) ? 'here, as a part of this' : 'in the library'],
            ]}
          />
          {named !== undefined && <VersionField named={named} onChange={(next) => onChange(replaceRef(component, slot, next))} />}
          <Group gap="xs">
            {inner !== undefined && (
              <Button size="compact-sm" variant="default" leftSection={<FolderOpen size={14} aria-hidden />} onClick={onOpen}>
                {isInline(ref) ? 'Open' : 'Look inside'}
              </Button>
            )}
            {named !== undefined && inner !== undefined && (
              <Button
                size="compact-sm"
                variant="default"
                leftSection={<Copy size={14} aria-hidden />}
                onClick={() => onChange(replaceRef(component, slot, copied(inner)))}
              >
                Copy it here
              </Button>
            )}
          </Group>
          {!isGraph && inner !== undefined && (
            <Button size="compact-sm" variant="default" onClick={() => onChange(adoptPorts(component, inner))}>
              Take over its inputs and outputs
            </Button>
          )}
          {inner !== undefined && (inner.inputs ?? []).length > 0 && <Feeds component={component} slot={slot} inner={inner} resolve={resolve} onChange={onChange} />}
          {inner !== undefined && (inner.outputs ?? []).length > 0 && <OutputsOf component={component} slot={slot} inner={inner} resolve={resolve} onChange={onChange} />}
          <div>
            <Button
              size="compact-sm"
              variant="subtle"
              color="red"
              leftSection={<Trash2 size={14} aria-hidden />}
              onClick={() => {
                onChange(removeSlots(component, [slot]));
                onGone();
              }}
            >
              Take the node away
            </Button>
          </div>
        </>
      )}
    </Stack>
  );
}

/** A copy of its own is another component: it needs a uid of its own, and has no history. */
function copied(component: Component): Component {
  const { modifiedBy: _, timestamp: __, version: ___, ...rest } = component;
  return { ...rest, uid: uuid() };
}

function IdField({ id, taken, onChange }: { id: string; taken: readonly string[]; onChange: (id: string) => void }) {
  const [typed, setTyped] = useState(id);
  const problem = !nodeIdForm.test(typed) ? 'Begin with a letter; then letters, digits and -.' : typed !== id && taken.includes(typed) ? 'Another node has this id.' : undefined;
  const commit = () => {
    if (problem === undefined && typed !== id) onChange(typed);
  };
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        commit();
      }}
    >
      <TextInput label="Node" description="How connections, logs and files name it" value={typed} error={problem} onChange={(e) => setTyped(e.currentTarget.value)} onBlur={commit} />
    </form>
  );
}

function VersionField({ named, onChange }: { named: VersionRef; onChange: (ref: Ref) => void }) {
  const versions = useQuery(workflowQueries.versions('component', named.uid));
  const items = versions.data?.items ?? [];
  const current = named.version ?? 0;
  const listed = items.map((v) => v.version?.current ?? 0);
  return (
    <NativeSelect
      label="Version"
      description={current === 0 ? 'Always the newest: a run takes what is newest then' : 'Stays as it is, whatever is published later'}
      value={String(current)}
      onChange={(e) => {
        const version = Number(e.currentTarget.value);
        onChange(version === 0 ? named.uid : { uid: named.uid, version });
      }}
      data={[
        { value: '0', label: 'the newest' },
        ...(current !== 0 && !listed.includes(current) ? [{ value: String(current), label: `${current}` }] : []),
        ...listed.map((v) => ({ value: String(v), label: `${v}` })),
      ]}
    />
  );
}

const portKey = (p: Port) => `${p.node ?? ''}.${p.port}`;

function Feeds({ component, slot, inner, resolve, onChange }: { component: Component; slot: string; inner: Component; resolve: Resolve; onChange: Change }) {
  return (
    <div>
      <Title order={3} fz="sm" mb={4}>
        What feeds it
      </Title>
      <Stack gap={6}>
        {(inner.inputs ?? []).map((d) => (
          <FeedField
            key={d.name}
            label={`${d.name} (${typeWord(d.type)})`}
            component={component}
            target={{ node: slot, port: d.name }}
            resolve={resolve}
            onChange={onChange}
          />
        ))}
      </Stack>
    </div>
  );
}

function FeedField({ label, component, target, resolve, onChange }: { label: string; component: Component; target: Port; resolve: Resolve; onChange: Change }) {
  const feed = feedOf(component, target);
  const sources = sourcesFor(component, target, resolve);
  const current = feed === undefined ? '' : portKey(feed.source);
  return (
    <NativeSelect
      label={label}
      size="xs"
      value={current}
      onChange={(e) => {
        const source = sources.find((p) => portKey(p) === e.currentTarget.value);
        onChange(source === undefined ? disconnect(component, feed === undefined ? [] : [feed.key]) : connect(component, source, target));
      }}
      data={[
        { value: '', label: 'nothing' },
        ...(current !== '' && !sources.some((p) => portKey(p) === current) ? [{ value: current, label: `${current} (does not fit)` }] : []),
        ...sources.map((p) => ({ value: portKey(p), label: p.node === undefined ? `input ${p.port}` : `${p.node} · ${p.port}` })),
      ]}
    />
  );
}

/** Which of the component's own outputs this node feeds. */
function OutputsOf({ component, slot, inner, resolve, onChange }: { component: Component; slot: string; inner: Component; resolve: Resolve; onChange: Change }) {
  const own = component.outputs ?? [];
  if (own.length === 0) return null;
  return (
    <div>
      <Title order={3} fz="sm" mb={4}>
        What it gives
      </Title>
      <Stack gap={6}>
        {own
          .filter((o) => sourcesFor(component, { port: o.name }, resolve).some((p) => p.node === slot && (inner.outputs ?? []).some((d) => d.name === p.port)))
          .map((o) => (
            <FeedField key={o.name} label={`output ${o.name} (${typeWord(o.type)}) comes from`} component={component} target={{ port: o.name }} resolve={resolve} onChange={onChange} />
          ))}
      </Stack>
    </div>
  );
}
