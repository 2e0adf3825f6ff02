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
import classes from './apps.module.css';
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
    <span className={classes.icon} data-colour={colourOf(app.id)} style={{ width: size, height: size, fontSize: size * 0.36 }} aria-hidden="true">
      {Picture !== undefined ? <Picture size={size * 0.5} /> : wanted.kind === 'sign' ? wanted.text : initials(app.name)}
    </span>
  );
}
