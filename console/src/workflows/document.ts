/** The language that workflows are written in, as far as the console reads and writes it. */

export type PortType = 'parameter' | 'parameter_array' | 'artifact' | 'env_secret' | 'volume';
export const portTypes: readonly PortType[] = ['parameter', 'parameter_array', 'artifact', 'env_secret', 'volume'];

export interface Data {
  name: string;
  type: PortType;
  mediatype?: string[];
  userdata?: Record<string, unknown>;
}

export interface Port {
  port: string;
  node?: string;
}

export interface Edge {
  source: Port;
  target: Port;
}

export interface Metadata {
  uid?: string;
  name?: string;
  description?: string;
  version?: { current: number; tags?: string[]; previous?: { version?: number; uid?: string } };
  modifiedBy?: { oid: string; email?: string };
  timestamp?: string;
}

/** One version of a component; without a version the newest. */
export interface VersionRef {
  uid: string;
  version?: number;
}

export type Ref = string | VersionRef | Component;

export interface GraphNode {
  id: string;
  node: Ref;
  userdata?: Record<string, unknown>;
}

export interface Arg {
  source: string | Port;
  target?: { type: string; prefix?: string; suffix?: string };
  description?: string;
}

export interface Result {
  source: string | { file: string } | { volume: string };
  target: Port;
  description?: string;
}

export interface Container {
  name: string;
  image?: string;
  command?: string[];
  args?: string[];
  [more: string]: unknown;
}

export interface Mappings {
  inputMappings?: Edge[];
  outputMappings?: Edge[];
}

export interface Any {
  type: 'any';
}
export interface Brick {
  type: 'brick';
  container: Container;
  args?: Arg[];
  results?: Result[];
}
export interface Graph extends Mappings {
  type: 'graph';
  nodes?: GraphNode[];
  edges?: Edge[];
}
export interface MapOver extends Mappings {
  type: 'map';
  node?: Ref;
}
export interface Expression {
  left: string | Data;
  operator: string;
  right: string | Data;
}
export interface Conditional extends Mappings {
  type: 'conditional';
  nodeTrue?: Ref;
  nodeFalse?: Ref;
  expression?: Expression;
}

export type Implementation = Any | Brick | Graph | MapOver | Conditional;
export type Kind = Implementation['type'];

export interface Component extends Metadata {
  type: 'component';
  inputs?: Data[];
  outputs?: Data[];
  implementation: Implementation;
}

export interface Workflow extends Metadata {
  type: 'workflow';
  workspace: string;
  component: Component;
}

export type Document = Component | Workflow;
export type DocumentKind = Document['type'];

export interface InputValue {
  target: string;
  value: string | string[];
}

export interface Job extends Metadata {
  type: 'job';
  workflow: Workflow;
  inputValues?: InputValue[];
  events?: unknown[];
}

export interface KubeVolume {
  name: string;
  [source: string]: unknown;
}

export interface Volume {
  uid?: string;
  workspace: string;
  volume: KubeVolume;
}

export const ZERO = '00000000-0000-0000-0000-000000000000';

/** The component that a document is about. */
export function rootOf(doc: Document): Component {
  return doc.type === 'workflow' ? doc.component : doc;
}

export function withRoot(doc: Document, root: Component): Document {
  return doc.type === 'workflow' ? { ...doc, component: root } : root;
}

/** Where the root component stands in the document, as the beginning of a JSON pointer. */
export function rootPointer(doc: Document): string {
  return doc.type === 'workflow' ? '/component' : '';
}

export function isInline(ref: Ref | undefined): ref is Component {
  return typeof ref === 'object' && 'implementation' in ref;
}

/** What a reference that is not inline names. */
export function referenceOf(ref: Ref | undefined): VersionRef | undefined {
  if (ref === undefined || isInline(ref)) return undefined;
  return typeof ref === 'string' ? { uid: ref } : ref;
}

export function refKey({ uid, version }: VersionRef): string {
  return version === undefined || version === 0 ? uid : `${uid}@${version}`;
}

const words: Readonly<Record<Kind, { word: string; says: string }>> = {
  brick: { word: 'brick', says: 'Runs a program in a container' },
  graph: { word: 'graph', says: 'Several nodes, connected' },
  map: { word: 'map', says: 'Does the same for each element of a list' },
  conditional: { word: 'conditional', says: 'One of two, as a condition decides' },
  any: { word: 'placeholder', says: 'Nothing yet; cannot be run' },
};

export function kindWord(kind: string | undefined): string {
  return kind !== undefined && kind in words ? words[kind as Kind].word : 'component';
}

export function kindSays(kind: Kind): string {
  return words[kind].says;
}

const typeWords: Readonly<Record<PortType, string>> = {
  parameter: 'text',
  parameter_array: 'list',
  artifact: 'file',
  env_secret: 'secret',
  volume: 'volume',
};

export function typeWord(type: PortType | undefined): string {
  return type === undefined ? 'unknown' : typeWords[type];
}

/** A component of a kind with nothing in it. It has a uid of its own, as every component that is run must. */
export function blank(kind: Kind, uid: string, name: string): Component {
  return { uid, type: 'component', name, implementation: blankImplementation(kind) };
}

export function blankImplementation(kind: Kind): Implementation {
  switch (kind) {
    case 'brick':
      return { type: 'brick', container: { name: 'main', image: '', command: [] }, args: [], results: [] };
    case 'graph':
      return { type: 'graph', nodes: [], edges: [], inputMappings: [], outputMappings: [] };
    case 'map':
      return { type: 'map', inputMappings: [], outputMappings: [] };
    case 'conditional':
      return { type: 'conditional', inputMappings: [], outputMappings: [] };
    case 'any':
      return { type: 'any' };
  }
}

/** Where the original's pages and ours keep where a node stands. */
export interface Point {
  x: number;
  y: number;
}

export function pointOf(userdata: Record<string, unknown> | undefined): Point | undefined {
  const at = userdata?.graphPosition;
  if (typeof at !== 'object' || at === null) return undefined;
  const { x, y } = at as Partial<Point>;
  return typeof x === 'number' && typeof y === 'number' && Number.isFinite(x) && Number.isFinite(y) ? { x, y } : undefined;
}

export function textIn(userdata: Record<string, unknown> | undefined, name: string): string | undefined {
  const value = userdata?.[name];
  return typeof value === 'string' ? value : undefined;
}
