import type { KubeVolume } from './document';

export type VolumeSource = 'persistentVolumeClaim' | 'emptyDir' | 'nfs' | 'other';

interface Source {
  readonly value: VolumeSource;
  readonly label: string;
  readonly asks?: string;
  readonly example?: string;
}

/** What people register most; everything else is written as Kubernetes has it. */
export const volumeSources: readonly Source[] = [
  { value: 'persistentVolumeClaim', label: 'storage with a name', asks: 'Name of the claim', example: 'team-data' },
  { value: 'emptyDir', label: 'empty, for one run' },
  { value: 'nfs', label: 'NFS share', asks: 'Server and path', example: 'files.example.org:/export/team' },
  { value: 'other', label: 'something else', asks: 'As JSON', example: '{"csi": {"driver": "…"}}' },
];

export function volumeProblem(name: string, source: VolumeSource, where: string, taken: readonly string[]): string | undefined {
  if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name.trim())) return 'Name it with small letters, digits and -.';
  if (taken.includes(name.trim())) return 'There is a volume of this name.';
  if (source === 'persistentVolumeClaim' && where.trim() === '') return 'Name the claim.';
  if (source === 'nfs' && !/^[^:\s]+:\/\S*$/.test(where.trim())) return 'Write server:/path.';
  if (source === 'other' && jsonOf(where) === undefined) return 'Write one object of JSON, such as {"csi": {…}}.';
  return undefined;
}

export function volumeOf(name: string, source: VolumeSource, where: string): KubeVolume {
  switch (source) {
    case 'persistentVolumeClaim':
      return { name, persistentVolumeClaim: { claimName: where.trim() } };
    case 'emptyDir':
      return { name, emptyDir: {} };
    case 'nfs': {
      const at = where.trim();
      return { name, nfs: { server: at.slice(0, at.indexOf(':')), path: at.slice(at.indexOf(':') + 1) } };
    }
    case 'other':
      return { ...jsonOf(where), name };
  }
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** What a volume is, in words. */
export function volumeKind(volume: KubeVolume): string {
  const text = (kind: string, member: string) => {
    const source = volume[kind];
    if (typeof source !== 'object' || source === null) return undefined;
    const value = (source as Record<string, unknown>)[member];
    return typeof value === 'string' ? value : '';
  };
  const claim = text('persistentVolumeClaim', 'claimName');
  if (claim !== undefined) return `storage ${claim}`;
  if (volume.emptyDir !== undefined) return 'empty, for one run';
  const server = text('nfs', 'server');
  if (server !== undefined) return `NFS share ${server}:${text('nfs', 'path') ?? ''}`;
  return Object.keys(volume).filter((k) => k !== 'name').join(', ') || 'nothing';
}
