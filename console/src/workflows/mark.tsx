import { Box, Boxes, CircleDashed, File, GitFork, KeyRound, List, Repeat, Type, HardDrive, type LucideIcon } from 'lucide-react';
import { Status } from '../ui/status';
import type { Kind, PortType } from './document';
import { typeWord } from './document';
import { phaseLook } from './run';

const kinds: Readonly<Record<Kind, LucideIcon>> = { brick: Box, graph: Boxes, map: Repeat, conditional: GitFork, any: CircleDashed };

export function KindIcon({ kind, size = 16 }: { kind: string | undefined; size?: number }) {
  const Icon = kind !== undefined && kind in kinds ? kinds[kind as Kind] : CircleDashed;
  return <Icon size={size} aria-hidden style={{ flex: 'none' }} />;
}

const types: Readonly<Record<PortType, LucideIcon>> = { parameter: Type, parameter_array: List, artifact: File, env_secret: KeyRound, volume: HardDrive };

/** What passes through a port, as a small sign. */
export function TypeMark({ type, size = 12 }: { type: PortType; size?: number }) {
  const Icon = types[type];
  return <Icon size={size} role="img" aria-label={typeWord(type)} style={{ flex: 'none', opacity: 0.75 }} />;
}

/** Where a run or a step stands. */
export function PhaseMark({ phase }: { phase: string | undefined }) {
  const look = phaseLook(phase);
  return <Status tone={look.tone}>{look.word}</Status>;
}
