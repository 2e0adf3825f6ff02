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
