import { address, json, type Query } from './http';
import type { paths } from './schema';

/**
 * One function for the whole API, typed by the server's own document: a path that does not exist, a
 * parameter that is misspelt or a field that an answer does not have is an error of the compiler.
 */
export type Method = 'get' | 'put' | 'post' | 'delete' | 'patch';

/** The paths that serve a method. */
export type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];

type Operation<M extends Method, P extends PathOf<M>> = paths[P] extends Record<M, infer O> ? O : never;

type Part<O, K extends string> = O extends { parameters: infer Q } ? (K extends keyof Q ? NonNullable<Q[K]> : never) : never;

type Body<O> = O extends { requestBody: { content: { 'application/json': infer B } } } ? B : never;

/** The query that reading a path takes. */
export type QueryOf<P extends PathOf<'get'>> = Part<Operation<'get', P>, 'query'>;

/** The body that writing to a path takes. */
export type BodyOf<M extends Method, P extends PathOf<M>> = Body<Operation<M, P>>;

/** What a success answers as JSON, or nothing. */
export type Answer<M extends Method, P extends PathOf<M>> =
  Operation<M, P> extends { responses: infer R }
    ? { [S in keyof R & (200 | 201)]: R[S] extends { content: { 'application/json': infer A } } ? A : undefined }[keyof R &
        (200 | 201)]
    : undefined;

type Given<K extends string, V> = [V] extends [never] ? Partial<Record<K, undefined>> : Record<K, V>;
type MayBe<K extends string, V> = [V] extends [never] ? Partial<Record<K, undefined>> : Partial<Record<K, V>>;

export type Options<M extends Method, P extends PathOf<M>> = Given<'path', Part<Operation<M, P>, 'path'>> &
  MayBe<'query', Part<Operation<M, P>, 'query'>> &
  Given<'body', Body<Operation<M, P>>> & { signal?: AbortSignal };

export function call<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  ...[options]: Partial<Options<M, P>> extends Options<M, P> ? [Options<M, P>?] : [Options<M, P>]
): Promise<Answer<M, P>> {
  const given = (options ?? {}) as { path?: Record<string, string>; query?: Query; body?: unknown; signal?: AbortSignal };
  return json<Answer<M, P>>(method.toUpperCase(), fill(path, given.path), given);
}

/** The address of a path, for links that a browser follows by itself. */
export function link<P extends PathOf<'get'>>(path: P, query: QueryOf<P>): string {
  return address(path, query);
}

/** Puts values into the braces of a path. */
export function fill(path: string, values: Record<string, string> = {}): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(values[name] ?? ''));
}
