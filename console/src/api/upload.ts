import { problemOf, unreachable, type ApiError } from './errors';
import { address, isSessionEnd, sessionEnded } from './http';

export interface Sending<T> {
  readonly answer: Promise<{ status: number; body: T }>;
  readonly cancel: () => void;
}

/**
 * Sends a file as multipart with the bytes counted as they leave: fetch cannot tell, XMLHttpRequest can.
 */
export function upload<T>(
  path: string,
  query: Record<string, string>,
  file: File,
  fields: Record<string, string>,
  onProgress: (sent: number, total: number) => void,
): Sending<T> {
  const xhr = new XMLHttpRequest();
  const form = new FormData();
  // Fields first, so that the server knows them before the file streams in.
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append('file', file, file.name);
  const answer = new Promise<{ status: number; body: T }>((resolve, reject: (error: ApiError) => void) => {
    xhr.upload.onprogress = (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    };
    xhr.onload = () => {
      const body = parse(xhr.responseText);
      if (xhr.status >= 200 && xhr.status < 300) {
        resolve({ status: xhr.status, body: body as T });
        return;
      }
      const error = problemOf(xhr.status, body, xhr.getResponseHeader('X-Request-Id') ?? undefined);
      if (isSessionEnd(error)) sessionEnded();
      reject(error);
    };
    xhr.onerror = () => reject(unreachable());
    xhr.onabort = () => reject(problemOf(0, { error: { kind: 'cancelled', message: 'Cancelled.' } }));
  });
  xhr.open('PUT', address(path, query));
  xhr.setRequestHeader('X-Lodge-CSRF', '1');
  xhr.send(form);
  return { answer, cancel: () => xhr.abort() };
}

function parse(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
