import {
  Activity,
  AppWindow,
  BellRing,
  Bot,
  Boxes,
  CalendarClock,
  DoorOpen,
  FileText,
  FolderKanban,
  HeartPulse,
  House,
  KeyRound,
  LayoutGrid,
  ListChecks,
  type LucideIcon,
  Map as MapIcon,
  MonitorPlay,
  MonitorSmartphone,
  ScrollText,
  SearchCheck,
  Server,
  Settings2,
  ShieldCheck,
  Tags,
  UploadCloud,
  Users,
  Workflow,
} from 'lucide-react';
import type { Me } from '../api/types';
import { may } from './may';

export interface Room {
  readonly path: string;
  readonly label: string;
  readonly icon: LucideIcon;
  /** The action that the caller must have somewhere to see this room; none means everybody. */
  readonly needs?: string;
  readonly words: string;
}

export interface Wing {
  readonly label: string;
  readonly rooms: readonly Room[];
}

/** Every room of the console. A new part adds its wing here and its routes in app.tsx. */
export const wings: readonly Wing[] = [
  { label: '', rooms: [{ path: '/', label: 'Home', icon: House, words: 'start overview checklist' }] },
  {
    label: 'Apps',
    // An app may be open to a person by name or role alone: what the catalogue shows decides, not a permission.
    rooms: [
      { path: '/apps/catalogue', label: 'Catalogue', icon: LayoutGrid, words: 'apps start launch open notebook' },
      { path: '/apps/mine', label: 'My apps', icon: AppWindow, words: 'running stop extend log quota idle' },
      { path: '/apps/sessions', label: 'App sessions', icon: MonitorPlay, needs: 'apps.read-any', words: 'everybody running stop users' },
      { path: '/apps/drivers', label: 'Drivers', icon: Server, needs: 'apps.admin', words: 'process docker kubernetes limits enforced' },
    ],
  },
  {
    label: 'Workflows',
    rooms: [
      { path: '/workflows/runs', label: 'Runs', icon: Workflow, words: 'jobs steps logs outputs running failed' },
      { path: '/workflows/library', label: 'Library', icon: Boxes, words: 'components workflows versions editor graph' },
      { path: '/workflows/workspaces', label: 'Workspaces', icon: FolderKanban, words: 'members secrets volumes' },
    ],
  },
  {
    label: 'Fleet',
    rooms: [
      { path: '/fleet/map', label: 'Map', icon: MapIcon, needs: 'fleet.map.read', words: 'robots levels floor plan live follow' },
      { path: '/fleet/robots', label: 'Robots', icon: Bot, needs: 'fleet.fleets.read', words: 'battery fleets decommission issues' },
      { path: '/fleet/tasks', label: 'Tasks', icon: ListChecks, needs: 'fleet.tasks.read', words: 'queue running done dispatch cancel patrol delivery' },
      { path: '/fleet/logs', label: 'Task logs', icon: ScrollText, needs: 'fleet.tasks.read', words: 'search find text history wrote' },
      { path: '/fleet/doors', label: 'Doors & lifts', icon: DoorOpen, needs: 'fleet.doors.read', words: 'open close call elevator' },
      { path: '/fleet/schedules', label: 'Schedules', icon: CalendarClock, needs: 'fleet.tasks.read', words: 'every day weekly calendar repeat' },
      { path: '/fleet/alerts', label: 'Alerts', icon: BellRing, needs: 'fleet.alerts.read', words: 'help answer stuck delivery' },
    ],
  },
  {
    label: 'Results',
    rooms: [
      {
        path: '/results/files',
        label: 'Files',
        icon: FileText,
        needs: 'results.read',
        words: 'local project tag download upload preview checksum',
      },
      {
        path: '/results/uploads',
        label: 'Uploads',
        icon: UploadCloud,
        needs: 'results.uploads.read',
        words: 'hub queue final retry delivered failed',
      },
    ],
  },
  {
    label: 'Access',
    rooms: [
      { path: '/access/people', label: 'People', icon: Users, needs: 'users.read', words: 'users accounts rights disable' },
      { path: '/access/roles', label: 'Roles', icon: Tags, needs: 'roles.read', words: 'create describe delete' },
      {
        path: '/access/permissions',
        label: 'Permissions',
        icon: ShieldCheck,
        needs: 'permissions.read',
        words: 'matrix grant withdraw rights',
      },
      { path: '/access/tokens', label: 'Tokens', icon: KeyRound, words: 'service api key create revoke' },
      {
        path: '/access/sessions',
        label: 'Sessions',
        icon: MonitorSmartphone,
        words: 'browser login revoke devices',
      },
      {
        path: '/access/who-can',
        label: 'Who can…?',
        icon: SearchCheck,
        needs: 'access.explain',
        words: 'explain rule rights auditor',
      },
    ],
  },
  {
    label: 'Activity',
    rooms: [
      { path: '/activity', label: 'Audit log', icon: Activity, needs: 'audit.read', words: 'timeline history export verify' },
    ],
  },
  {
    label: 'Site',
    rooms: [
      { path: '/site/health', label: 'Health', icon: HeartPulse, words: 'dependencies ready database objects hub' },
      { path: '/site/settings', label: 'Settings', icon: Settings2, needs: 'config.read', words: 'config version secrets' },
    ],
  },
];

/** The wings with only the rooms that the caller may use. */
export function wingsFor(me: Me): Wing[] {
  return wings
    .map((wing) => ({ ...wing, rooms: wing.rooms.filter((r) => r.needs === undefined || may(me, r.needs)) }))
    .filter((wing) => wing.rooms.length > 0);
}
