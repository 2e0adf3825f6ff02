/** Reads claims typed as one `name=value` a line. */
export function parseClaims(text: string): { claims: Record<string, string>; problem?: string } {
  const claims: Record<string, string> = {};
  for (const [i, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '') continue;
    const at = line.indexOf('=');
    const name = line.slice(0, Math.max(at, 0)).trim();
    if (name === '') return { claims: {}, problem: `Line ${i + 1} is not name=value` };
    if (name in claims) return { claims: {}, problem: `Line ${i + 1}: ${name} is there twice` };
    claims[name] = line.slice(at + 1).trim();
  }
  return { claims };
}
