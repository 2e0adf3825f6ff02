/** How numbers, times and names are written, the same on every page. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(n: number): string {
  let value = n;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${units[unit] ?? ''}`;
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** A time span in the largest sensible unit: "4 s", "12 min", "3 h", "5 d". */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

export function ago(ms: number): string {
  return ms < 2000 ? 'now' : `${span(ms)} ago`;
}

/** "in 4 s", or "now" when the time has come. */
export function until(ms: number): string {
  return ms <= 0 ? 'now' : `in ${span(ms)}`;
}

const clock = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });

/** The moment in the reader's own time zone: "22 Nov 2026, 04:25:10". */
export function moment(time: string | number | Date): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '–' : clock.format(date);
}

/** The start of an id or a checksum, enough to tell it from its neighbours. */
export function short(id: string, length = 8): string {
  return id.length > length + 1 ? `${id.slice(0, length)}…` : id;
}

/** "Chrome on Linux" from a user agent, or its first word. */
export function browser(agent: string): string {
  const name = agent.includes('Edg/')
    ? 'Edge'
    : agent.includes('Firefox/')
      ? 'Firefox'
      : /Chrom(e|ium)\//.test(agent)
        ? 'Chrome'
        : agent.includes('Safari/')
          ? 'Safari'
          : (agent.split(/[\s/]/)[0] ?? '');
  const system = agent.includes('Android')
    ? 'Android'
    : /iPhone|iPad/.test(agent)
      ? 'iOS'
      : agent.includes('Windows')
        ? 'Windows'
        : agent.includes('Mac OS')
          ? 'macOS'
          : agent.includes('Linux')
            ? 'Linux'
            : '';
  if (name === '') return 'unknown';
  return system === '' ? name : `${name} on ${system}`;
}

/** A text as a sentence, whether or not whoever wrote it ended it as one. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  return trimmed === '' || /[.!?…]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
