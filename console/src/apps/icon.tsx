import { ThemeIcon } from '@mantine/core';
import {
  Activity,
  AppWindow,
  BookOpen,
  Bot,
  Boxes,
  Brain,
  Calculator,
  ChartLine,
  CodeXml,
  Database,
  Dna,
  FlaskConical,
  Globe,
  HeartPulse,
  Image,
  type LucideIcon,
  Microscope,
  Monitor,
  Notebook,
  NotebookPen,
  Radio,
  Table,
  Terminal,
} from 'lucide-react';
import { colourOf, initials } from './model';
import { nameOfIcon } from './icons';

/** The pictures that an entry may name. Nothing is loaded from elsewhere, so these are all there are. */
const pictures: Readonly<Record<string, LucideIcon>> = {
  activity: Activity,
  book: BookOpen,
  bot: Bot,
  boxes: Boxes,
  brain: Brain,
  calculator: Calculator,
  chart: ChartLine,
  code: CodeXml,
  database: Database,
  desktop: Monitor,
  dna: Dna,
  flask: FlaskConical,
  globe: Globe,
  health: HeartPulse,
  image: Image,
  microscope: Microscope,
  notebook: Notebook,
  pen: NotebookPen,
  radio: Radio,
  table: Table,
  terminal: Terminal,
  window: AppWindow,
};

/** An app's picture: one of ours by name, a sign of its own, or its letters. */
export function AppIcon({ app, size = 44 }: { app: { id: string; name: string; icon: string }; size?: number }) {
  const wanted = nameOfIcon(app.icon);
  const Picture = wanted.kind === 'name' ? pictures[wanted.text] : undefined;
  return (
    <ThemeIcon size={size} radius="md" variant="light" color={colourOf(app.id)} aria-hidden="true" fz={size * 0.36} fw={650}>
      {Picture !== undefined ? <Picture size={size * 0.5} /> : wanted.kind === 'sign' ? wanted.text : initials(app.name)}
    </ThemeIcon>
  );
}
