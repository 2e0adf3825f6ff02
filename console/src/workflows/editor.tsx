import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useParams, useSearchParams } from 'react-router';
import { uuid } from '../lib/uuid';
import { Answer } from '../ui/answer';
import { PageView } from '../ui/page';
import { Bench } from './bench';
import { blank, type Document, type DocumentKind, type Kind } from './document';
import { workflowQueries } from './query';

/** Where components and workflows are made and changed. */
export default function Editor() {
  const { kind = '', id = '' } = useParams();
  const what: DocumentKind = kind === 'workflow' ? 'workflow' : 'component';
  return id === 'new' ? <Fresh key={what} kind={what} /> : <Stored key={`${what}/${id}`} kind={what} id={id} />;
}

function Fresh({ kind }: { kind: DocumentKind }) {
  const [search] = useSearchParams();
  const [doc] = useState(() => fresh(kind, search.get('as') ?? 'graph', search.get('workspace') ?? ''));
  return <Bench kind={kind} start={doc} server={undefined} />;
}

function fresh(kind: DocumentKind, as: string, workspace: string): Document {
  const known: readonly string[] = ['brick', 'graph', 'map', 'conditional'];
  const component = blank((known.includes(as) ? as : 'graph') as Kind, uuid(), kind === 'workflow' ? 'main' : '');
  if (kind === 'workflow') return { type: 'workflow', name: '', workspace, component };
  const { uid: _, ...rest } = component;
  return rest;
}

function Stored({ kind, id }: { kind: DocumentKind; id: string }) {
  const stored = useQuery(workflowQueries.document(kind, id));
  if (stored.data === undefined) {
    return (
      <PageView title="Editor">
        <Answer query={stored} title={`The ${kind} could not be read`}>
          {() => null}
        </Answer>
      </PageView>
    );
  }
  return <Bench kind={kind} start={stored.data} server={stored.data} />;
}
