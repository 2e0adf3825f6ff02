/** What was, is, and was undone. */
export interface History<T> {
  readonly past: readonly T[];
  readonly present: T;
  readonly future: readonly T[];
  /** What the last change was about: more of the same is one step. */
  readonly about: string;
}

const STEPS = 200;

export function begin<T>(present: T): History<T> {
  return { past: [], present, future: [], about: '' };
}

/** Goes on from the present. Changes about the same thing, such as the letters of a name, are undone together. */
export function go<T>(history: History<T>, next: T, about = ''): History<T> {
  if (Object.is(next, history.present)) return history;
  const more = about !== '' && about === history.about && history.past.length > 0;
  return {
    past: more ? history.past : [...history.past, history.present].slice(-STEPS),
    present: next,
    future: [],
    about,
  };
}

export function undo<T>(history: History<T>): History<T> {
  const before = history.past.at(-1);
  if (before === undefined) return history;
  return { past: history.past.slice(0, -1), present: before, future: [history.present, ...history.future], about: '' };
}

export function redo<T>(history: History<T>): History<T> {
  const [after, ...future] = history.future;
  if (after === undefined) return history;
  return { past: [...history.past, history.present], present: after, future, about: '' };
}

/** Puts something else in place of the present without a step, such as what the server made of it. */
export function settle<T>(history: History<T>, present: T): History<T> {
  return { ...history, present, about: '' };
}
