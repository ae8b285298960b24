// The gateway's routes, asked relative to where the page lies: `<prefix>/dashboard/` -> `<prefix>/`. A key, once given,
// stays in this tab (sessionStorage) and goes out as a bearer token.

const KEY = 'ollamamax.key';
export const base = new URL('..', location.href);

export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
  get wantsKey() {
    return this.status === 401 || this.status === 403;
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? '',
  set: (value: string) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

/** Its bytes in UTF-8, one character each: what fetch puts into a header byte by byte. */
export function keyBytes(): string {
  return String.fromCharCode(...new TextEncoder().encode(key.get()));
}

export function headers(more: Record<string, string> = {}): Record<string, string> {
  return key.get() ? { ...more, Authorization: `Bearer ${keyBytes()}` } : more;
}

async function refusal(answer: Response): Promise<ApiError> {
  const text = await answer.text().catch(() => '');
  try {
    const body = JSON.parse(text) as { error?: string; code?: string };
    return new ApiError(answer.status, body.code ?? '', body.error ?? `HTTP ${answer.status}`);
  } catch {
    return new ApiError(answer.status, '', `The gateway answered ${answer.status}.`);
  }
}

/** A JSON answer. A fleet that is down answers /api/health with 503 and says why: that body is an answer too. */
export async function ask<T>(path: string, init: RequestInit & { expect503?: boolean } = {}): Promise<T> {
  const answer = await fetch(new URL(path, base), {
    ...init,
    headers: headers(init.body ? { 'Content-Type': 'application/json' } : {}),
    cache: 'no-store',
    credentials: 'same-origin',
    signal: init.signal ?? AbortSignal.timeout(10_000),
  });
  if (!answer.ok && !(init.expect503 && answer.status === 503)) throw await refusal(answer);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

/** What a room that this gateway does not have would say: nothing. Other failures are the caller's. */
export async function askIfThere<T>(path: string): Promise<T | undefined> {
  try {
    return await ask<T>(path);
  } catch (e) {
    if (e instanceof ApiError && (e.status === 404 || e.status === 501)) return undefined;
    throw e;
  }
}

export const send = (method: string, path: string, body: unknown = {}) =>
  ask<unknown>(path, { method, body: method === 'DELETE' ? undefined : JSON.stringify(body) });
