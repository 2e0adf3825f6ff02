import type { Finding } from '../workflows/finding';

/** What went wrong, in one shape whatever part of the server said it. */
export class ApiError extends Error {
  override name = 'ApiError';
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
    readonly permission?: string,
    readonly requestId?: string,
    readonly fields: readonly FieldProblem[] = [],
    /** What the workflows part finds wrong with a document. */
    readonly findings: readonly Finding[] = [],
  ) {
    super(message);
  }
}

export interface FieldProblem {
  readonly path: string;
  readonly message: string;
}

/**
 * Reads all shapes: the platform's {"error":{…}}, the results part's {"detail":…}, the fleet's {"errors":[…]} and the
 * workflows part's {"summary":…,"detail":…,"findings":[…]}, which for workspaces is {"Error":…}.
 */
export function problemOf(status: number, body: unknown, requestId?: string): ApiError {
  if (isRecord(body)) {
    if (typeof body.summary === 'string') return workflowsProblem(status, body, requestId);
    const workspace = text(body.Error);
    if (workspace !== undefined) return new ApiError(status, kindOf(status), workspace.trim(), undefined, requestId);
    const error = body.error;
    if (isRecord(error)) {
      return new ApiError(
        status,
        text(error.kind) ?? kindOf(status),
        text(error.message) ?? sentence(status),
        text(error.permission),
        text(error.request_id) ?? requestId,
        fieldsOf(error.fields),
      );
    }
    const detail = body.detail;
    if (typeof detail === 'string') {
      return new ApiError(status, kindOf(status), detail, text(body.permission) ?? permissionIn(detail), requestId);
    }
    if (Array.isArray(detail)) {
      const fields = fieldsOf(detail);
      const message = fields.map((f) => (f.path === '' ? f.message : `${f.path}: ${f.message}`)).join('; ');
      return new ApiError(status, kindOf(status), message || sentence(status), undefined, requestId, fields);
    }
    const refusals = refusalsOf(body.errors).concat(refusalsOf(isRecord(detail) ? Object.values(detail) : []));
    if (refusals.length > 0) return new ApiError(status, 'refused', `The fleet refused: ${refusals.join('; ')}`, undefined, requestId);
  }
  return new ApiError(status, kindOf(status), sentence(status), undefined, requestId);
}

/** That part answers 400 and 401 where others say 401 and 403, for the sake of its clients. */
function workflowsProblem(status: number, body: Record<string, unknown>, requestId?: string): ApiError {
  const summary = text(body.summary) ?? sentence(status);
  const detail = text(body.detail);
  if (summary === 'could not authenticate') return new ApiError(401, 'unauthenticated', detail ?? summary, undefined, requestId);
  if (summary === 'Authorization Denied') return new ApiError(403, 'denied', 'This is for those who may do it in the workspace', undefined, requestId);
  const findings = Array.isArray(body.findings) ? (body.findings as Finding[]) : [];
  const message = findings.length > 0 ? findings.map((f) => f.message).join('; ') : (detail ?? summary);
  return new ApiError(status, status === 423 ? 'conflict' : kindOf(status), message, permissionIn(detail ?? ''), requestId, [], findings);
}

/** The server could not be reached at all. */
export function unreachable(): ApiError {
  return new ApiError(0, 'unreachable', 'The server does not answer.');
}

/** What the person can do about it. */
export function advice(error: unknown): string {
  if (!(error instanceof ApiError)) return 'Reload the page. If it happens again, report what you did just before.';
  switch (error.kind) {
    case 'unreachable':
      return 'Check that the server runs and that your network is up. The console tries again by itself.';
    case 'denied':
      return 'Ask an administrator for the missing permission.';
    case 'unauthenticated':
      return 'Sign in again. What you typed is kept.';
    case 'missing':
      return 'It was deleted, or it is not yours to see. Go back to the list.';
    case 'conflict':
      return 'Something changed in the meantime. Reload, look at the present state, and try again.';
    case 'invalid':
      return 'Correct what is named above and send it again.';
    case 'refused':
      return 'Nothing was changed. Correct what is named above and send it again.';
    case 'silent':
      return 'Look at the state of the fleet on the map, and try again in a moment.';
    case 'too_large':
      return 'Send a smaller file, or ask an administrator to raise the limit.';
    case 'exhausted':
      return 'Wait a moment and try again.';
    case 'full':
      return 'The disk is full: an administrator has to make room.';
    case 'unavailable':
    case 'upstream':
    case 'timeout':
      return 'A system behind Lodge is away. Site › Health says which. Try again in a moment.';
    default:
      return 'This is a fault of the server. Report it with the request id; the log has the details.';
  }
}

const kinds: Readonly<Record<number, string>> = {
  400: 'invalid',
  401: 'unauthenticated',
  403: 'denied',
  404: 'missing',
  405: 'unsupported',
  409: 'conflict',
  413: 'too_large',
  422: 'invalid',
  429: 'exhausted',
  502: 'upstream',
  503: 'unavailable',
  504: 'timeout',
  507: 'full',
};

function kindOf(status: number): string {
  return kinds[status] ?? 'internal';
}

function sentence(status: number): string {
  return `The server answered ${status}.`;
}

/** The results part names the permission in its sentence: "…: results.read on project-1". */
function permissionIn(detail: string): string | undefined {
  return /\b([a-z]+(?:\.[a-z]+)+ on \S+)/.exec(detail)?.[1];
}

function fieldsOf(value: unknown): FieldProblem[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).map((f) => {
    const loc = Array.isArray(f.loc) ? f.loc.map(String) : [];
    return { path: loc.slice(1).join('.'), message: text(f.message) ?? text(f.msg) ?? '' };
  });
}

/** What fleets say: errors with a detail, alone or under what they are about. */
function refusalsOf(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value.filter(isRecord).flatMap((e) => {
    const reason = text(e.detail) ?? text(e.category);
    return reason === undefined ? refusalsOf(e.errors) : [reason];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
