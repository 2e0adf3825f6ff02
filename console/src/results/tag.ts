/** What is wrong with a tag, or nothing: the rule is the server's. */
export function tagProblem(tag: string): string | undefined {
  const name = tag.trim();
  if (name === '' || /^([a-z0-9]{1,2}|[a-z0-9][a-z0-9-]{0,30}[a-z0-9])$/.test(name)) return undefined;
  return 'Up to 32 of a–z, 0–9 and hyphens inside';
}
