/** The end of a text: as many whole lines as wanted. */
export function lastLines(text: string, most: number): string {
  let at = text.endsWith('\n') ? text.length - 1 : text.length;
  for (let lines = 0; lines < most; lines++) {
    at = text.lastIndexOf('\n', at - 1);
    if (at < 0) return text;
  }
  return text.slice(at + 1);
}
