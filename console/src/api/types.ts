import type { components } from './schema';

/** The shapes that the server speaks, by the names that the pages use. */
type Schemas = components['schemas'];

export type Me = Schemas['Me'];
export type ResultFile = Schemas['FileInfo'];
export type Project = Schemas['ProjectInfo'];
export type Upload = Schemas['UploadInfo'];
export type Hub = Schemas['HubInfo'];
export type User = Schemas['User'];
export type Role = Schemas['RoleInfo'];
export type Permission = Schemas['PermitRequestBody'];
export type ActionInfo = Schemas['ActionInfo'];
export type Token = Schemas['Token'];
export type Session = Schemas['Session'];
export type AuditRecord = Schemas['Record'];

export type Dependency = Schemas['CheckState'];

export type BuildingMap = Schemas['BuildingMap'];
export type Level = Schemas['Level'];
export type Lift = Schemas['Lift'];
export type Door = Schemas['Door'];
export type FleetState = Schemas['FleetState'];
export type RobotState = Schemas['RobotState'];
export type Task = Schemas['TaskState'];
export type TaskStatus = NonNullable<Task['status']>;
export type TaskRequest = Schemas['TaskRequest'];
export type TaskLog = Schemas['TaskEventLog'];
export type TaskFavorite = Schemas['TaskFavorite'];
export type Phase = Schemas['Phase'];
export type LogEntry = Schemas['LogEntry'];
export type FleetAlert = Schemas['AlertRequest'];
export type AlertAnswer = Schemas['AlertResponse'];
export type DeliveryAlert = Schemas['DeliveryAlert'];
export type FoundEntry = Schemas['FoundEntry'];
/** An alert with its answer, null while there is none. */
export interface AnsweredAlert {
  readonly request: FleetAlert;
  readonly response: AlertAnswer | null;
}
export type DoorState = Schemas['DoorState'];
export type LiftState = Schemas['LiftState'];
export type Schedule = Schemas['Schedule'];
export type ScheduledTask = Schemas['ScheduledTask'];

export type App = Schemas['AppInfo'];
export type AppOption = Schemas['OptionInfo'];
export type AppAllow = Schemas['AllowInfo'];
export type AppResources = Schemas['ResourceInfo'];
export type AppSession = Schemas['SessionInfo'];
export type AppState = AppSession['state'];
export type AppProgress = Schemas['Progress'];
export type AppStats = Schemas['StatsInfo'];
export type AppCapacity = Schemas['Capacity'];
export type AppDriver = Schemas['DriverInfo'];
