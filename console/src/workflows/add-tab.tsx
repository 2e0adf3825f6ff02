import { Text, TextInput, Title } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { Search } from 'lucide-react';
import { type DragEvent, useState } from 'react';
import { contains, newest } from '../api/workflows';
import { Answer } from '../ui/answer';
import type { Kind } from './document';
import { kindSays, kindWord } from './document';
import { KindIcon } from './mark';
import { workflowQueries } from './query';
import classes from './editor.module.css';

/** What can be put on a canvas: a new component of a kind, or one from the library. */
export type Piece = { readonly kind: Kind } | { readonly uid: string; readonly version: number; readonly name: string };

const MEDIA = 'application/x-lodge-piece';

export function pieceFrom(event: DragEvent): Piece | undefined {
  try {
    const text = event.dataTransfer.getData(MEDIA);
    return text === '' ? undefined : (JSON.parse(text) as Piece);
  } catch {
    return undefined;
  }
}

const kinds: readonly Kind[] = ['brick', 'graph', 'map', 'conditional'];

interface Props {
  /** The component that is edited: it cannot contain itself. */
  uid: string | undefined;
  full: boolean;
  onAdd: (piece: Piece) => void;
}

/** Where one finds what to put on the canvas, by dragging or by pressing Enter. */
export function AddTab({ uid, full, onAdd }: Props) {
  const [typed, setTyped] = useState('');
  const [asked] = useDebouncedValue(typed.trim(), 200);
  const found = useQuery(
    workflowQueries.list('component', { terms: [newest, ...(asked === '' ? [] : [contains('name', asked)])], sort: asked === '' ? '-timestamp' : '+name', limit: 30 }),
  );
  return (
    <>
      <Text size="xs" c="dimmed" mb="sm">
        {full ? 'There is no room for another node here.' : 'Drag something onto the canvas, or choose it to add it.'}
      </Text>
      <Title order={3} fz="sm" mb={6}>
        New
      </Title>
      <ul className={classes.entries}>
        {kinds.map((kind) => (
          <Entry key={kind} piece={{ kind }} kind={kind} name={`New ${kindWord(kind)}`} what={kindSays(kind)} disabled={full} onAdd={onAdd} />
        ))}
      </ul>
      <Title order={3} fz="sm" mt="md" mb={6}>
        From the library
      </Title>
      <TextInput aria-label="Search components" placeholder="Search components" size="xs" mb={6} leftSection={<Search size={14} aria-hidden />} value={typed} onChange={(e) => setTyped(e.currentTarget.value)} />
      <Answer query={found} title="The library could not be read">
        {({ items }) => {
          const others = items.filter((c) => c.uid !== uid);
          return others.length === 0 ? (
            <Text size="sm" c="dimmed">
              {asked === '' ? 'The library has no other component yet.' : 'No component has this in its name.'}
            </Text>
          ) : (
            <ul className={classes.entries} aria-label="Components of the library">
              {others.map((c) => (
                <Entry
                  key={c.uid}
                  piece={{ uid: c.uid, version: c.version?.current ?? 0, name: c.name ?? '' }}
                  kind={c.implementation}
                  name={c.name ?? 'unnamed'}
                  what={c.description ?? `${kindWord(c.implementation)}, version ${c.version?.current ?? 1}`}
                  disabled={full}
                  onAdd={onAdd}
                />
              ))}
            </ul>
          );
        }}
      </Answer>
    </>
  );
}

function Entry({ piece, kind, name, what, disabled, onAdd }: { piece: Piece; kind: string | undefined; name: string; what: string; disabled: boolean; onAdd: (p: Piece) => void }) {
  return (
    <li>
      <button
        type="button"
        className={classes.entry}
        draggable={!disabled}
        disabled={disabled}
        onDragStart={(event) => {
          event.dataTransfer.setData(MEDIA, JSON.stringify(piece));
          event.dataTransfer.effectAllowed = 'copy';
        }}
        onClick={() => onAdd(piece)}
      >
        <KindIcon kind={kind} />
        <span className={classes.entryText}>
          <span className={classes.entryName} style={{ display: 'block' }}>
            {name}
          </span>
          <span className={classes.entryWhat} style={{ display: 'block' }}>
            {what}
          </span>
        </span>
      </button>
    </li>
  );
}
