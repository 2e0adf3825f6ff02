import type { Brick, Component, Port } from './document';

/** A command as it is typed: one word a line. What lines cannot say without doubt is written as JSON. */
export function commandText(command: readonly string[] | undefined): string {
  const words = command ?? [];
  const lines = words.join('\n');
  return same(commandOf(lines), words) ? lines : JSON.stringify(words);
}

/** Reads what commandText wrote. After "sh -c" comes one script, however many lines it has. */
export function commandOf(text: string): string[] {
  if (text.trimStart().startsWith('[')) {
    try {
      const list: unknown = JSON.parse(text);
      if (Array.isArray(list) && list.every((x) => typeof x === 'string')) return list;
    } catch {
      // It is a word that begins so.
    }
  }
  if (text === '') return [];
  const lines = text.split('\n');
  const script = lines.findIndex((l, i) => l === '-c' && /(^|\/)(ba|da|z|k)?sh$/.test(lines[i - 1] ?? ''));
  return script >= 0 && lines.length > script + 2 ? [...lines.slice(0, script + 1), lines.slice(script + 1).join('\n')] : lines;
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** What a brick will run, for eyes: with the names of inputs where their values will stand. */
export function commandLine(component: Component, brick: Brick): string[] {
  const name = (source: string | Port) => (typeof source === 'string' ? source : `‹${source.port}›`);
  const args = (brick.args ?? []).flatMap((a) => {
    if (a.target?.type === 'volume') return [];
    return [`${a.target?.prefix ?? ''}${name(a.source)}${a.target?.suffix ?? ''}`];
  });
  const secrets = (component.inputs ?? []).filter((d) => d.type === 'env_secret').map((d) => `${d.name}=‹secret›`);
  return [...secrets, ...(brick.container.command ?? []), ...(brick.container.args ?? []), ...args];
}
