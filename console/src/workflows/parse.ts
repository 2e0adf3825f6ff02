import type { Document, DocumentKind } from './document';

/**
 * Reads a document as somebody types it. The server says everything that is wrong with one; here only what
 * would keep the editor from drawing it is refused.
 */
export function parseDocument(text: string, kind: DocumentKind): { doc: Document } | { problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: `This is no JSON yet: ${error instanceof Error ? error.message : String(error)}` };
  }
  const problem = documentProblem(value, kind);
  return problem === undefined ? { doc: value as Document } : { problem };
}

export function documentProblem(value: unknown, kind: DocumentKind): string | undefined {
  if (!isObject(value)) return 'A document is an object: { … }.';
  if (value.type !== kind) return `"type" must be "${kind}".`;
  for (const name of ['uid', 'name', 'description'] as const) {
    if (value[name] !== undefined && typeof value[name] !== 'string') return `"${name}" must be a text.`;
  }
  if (kind === 'component') return componentProblem(value, '');
  if (typeof value.workspace !== 'string') return '"workspace" must be a text.';
  return componentProblem(value.component, '/component');
}

function componentProblem(value: unknown, at: string): string | undefined {
  if (!isObject(value) || value.type !== 'component') return `${at || 'The document'} must be a component.`;
  for (const side of ['inputs', 'outputs'] as const) {
    const wrong = listProblem(value[side], `${at}/${side}`, (d, where) => (isObject(d) && typeof d.name === 'string' && typeof d.type === 'string' ? undefined : `${where} needs a name and a type.`));
    if (wrong !== undefined) return wrong;
  }
  const it = value.implementation;
  const where = `${at}/implementation`;
  if (!isObject(it)) return `${where} must be an object.`;
  switch (it.type) {
    case 'any':
      return undefined;
    case 'brick':
      if (!isObject(it.container)) return `${where}/container must be an object.`;
      if (!textsOrNothing(it.container.command) || !textsOrNothing(it.container.args)) return `${where}/container: command and args are lists of texts.`;
      if (it.container.image !== undefined && typeof it.container.image !== 'string') return `${where}/container/image must be a text.`;
      return (
        listProblem(it.args, `${where}/args`, (a, w) => (isObject(a) && (typeof a.source === 'string' || isPort(a.source)) && (a.target === undefined || isObject(a.target)) ? undefined : `${w} needs a source.`)) ??
        listProblem(it.results, `${where}/results`, (r, w) => (isObject(r) && (typeof r.source === 'string' || isObject(r.source)) && isPort(r.target) ? undefined : `${w} needs a source and a target.`))
      );
    case 'graph':
      return (
        listProblem(it.nodes, `${where}/nodes`, (n, w) => (isObject(n) && typeof n.id === 'string' ? (n.userdata === undefined || isObject(n.userdata) ? refProblem(n.node, `${w}/node`) : `${w}/userdata must be an object.`) : `${w} needs an id.`)) ??
        listProblem(it.edges, `${where}/edges`, edgeProblem) ??
        mappingsProblem(it, where)
      );
    case 'map':
      return (it.node === undefined ? undefined : refProblem(it.node, `${where}/node`)) ?? mappingsProblem(it, where);
    case 'conditional':
      if (it.expression !== undefined && !isExpression(it.expression)) return `${where}/expression needs left, operator and right.`;
      for (const slot of ['nodeTrue', 'nodeFalse'] as const) {
        const wrong = it[slot] === undefined ? undefined : refProblem(it[slot], `${where}/${slot}`);
        if (wrong !== undefined) return wrong;
      }
      return mappingsProblem(it, where);
    default:
      return `${where}/type must be brick, graph, map, conditional or any.`;
  }
}

function refProblem(value: unknown, at: string): string | undefined {
  if (typeof value === 'string') return undefined;
  if (!isObject(value)) return `${at} must be a uid, a uid with a version, or a component.`;
  if ('implementation' in value) return componentProblem(value, at);
  return typeof value.uid === 'string' && (value.version === undefined || typeof value.version === 'number') ? undefined : `${at} needs a uid.`;
}

function mappingsProblem(it: Record<string, unknown>, at: string): string | undefined {
  return listProblem(it.inputMappings, `${at}/inputMappings`, edgeProblem) ?? listProblem(it.outputMappings, `${at}/outputMappings`, edgeProblem);
}

function edgeProblem(value: unknown, at: string): string | undefined {
  return isObject(value) && isPort(value.source) && isPort(value.target) ? undefined : `${at} needs a source and a target.`;
}

function listProblem(value: unknown, at: string, each: (item: unknown, at: string) => string | undefined): string | undefined {
  if (value === undefined) return undefined;
  if (!Array.isArray(value)) return `${at} must be a list.`;
  for (const [i, item] of value.entries()) {
    const wrong = each(item, `${at}/${i}`);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function isPort(value: unknown): boolean {
  return isObject(value) && typeof value.port === 'string' && (value.node === undefined || typeof value.node === 'string');
}

function isExpression(value: unknown): boolean {
  const operand = (o: unknown) => typeof o === 'string' || (isObject(o) && typeof o.name === 'string');
  return isObject(value) && operand(value.left) && operand(value.right) && typeof value.operator === 'string';
}

function textsOrNothing(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.every((x) => typeof x === 'string'));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
