// Where the page is: `#/models/ID?namespace=team&capability=Vision`. All that is chosen is in the address, so
// that it can be sent to a colleague and the way back works.

import { signal } from '@preact/signals';

export interface Route {
  /** `overview` where nothing is named. */
  view: string;
  /** The object that is looked at. */
  id: string | null;
  query: URLSearchParams;
}

function parse(hash: string): Route {
  // What opens the page (api.ts) is no view of it.
  if (hash.startsWith('#code=')) hash = '';
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [view, id] = path.split('/').map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { view: view || 'overview', id: id || null, query: new URLSearchParams(query) };
}

export const route = signal<Route>(parse(location.hash));
window.addEventListener('hashchange', () => {
  route.value = parse(location.hash);
});

/** The address of a view, in the namespace that is looked at. */
export function href(view: string, id?: string, query: Record<string, string> = {}): string {
  const kept = new URLSearchParams();
  const namespace = route.value.query.get('namespace');
  if (namespace !== null) kept.set('namespace', namespace);
  for (const [name, value] of Object.entries(query)) kept.set(name, value);
  const path = id === undefined ? view : `${view}/${encodeURIComponent(id)}`;
  const text = kept.toString();
  return `#/${path}${text ? `?${text}` : ''}`;
}

/** Changes what is chosen, without a step in the history. */
export function choose(changes: Record<string, string | string[] | null>): void {
  const { view, id } = route.value;
  const query = new URLSearchParams(route.value.query);
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== '') query.append(name, one);
    }
  }
  const text = query.toString();
  const path = id === null ? view : `${view}/${encodeURIComponent(id)}`;
  history.replaceState(null, '', `#/${path}${text ? `?${text}` : ''}`);
  route.value = { view, id, query };
}
