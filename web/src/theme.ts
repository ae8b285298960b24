// Light, dark, or as the system says. A choice is kept for this browser.
import { useEffect, useState } from 'preact/hooks';
import type { IconName } from './ui/icons.tsx';

export type Theme = 'system' | 'light' | 'dark';
export const themes: { id: Theme; name: string; icon: IconName }[] = [
  { id: 'system', name: 'as the system', icon: 'system' },
  { id: 'light', name: 'light', icon: 'sun' },
  { id: 'dark', name: 'dark', icon: 'moon' },
];
const KEY = 'ollamamax.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');
const watchers = new Set<() => void>();
const stored = () => themes.find((t) => t.id === localStorage.getItem(KEY))?.id ?? 'system';

export const isDark = () => (stored() === 'system' ? dark.matches : stored() === 'dark');

function show() {
  document.documentElement.dataset.theme = isDark() ? 'dark' : 'light';
  for (const watcher of watchers) watcher();
}

export function applyTheme(theme: Theme) {
  localStorage.setItem(KEY, theme);
  show();
}

export function startTheme() {
  dark.addEventListener('change', show);
  show();
}

function useShown<T>(read: () => T): T {
  const [value, set] = useState(read);
  useEffect(() => {
    const watch = () => set(read());
    watchers.add(watch);
    watch();
    return () => void watchers.delete(watch);
  }, []);
  return value;
}
export const useTheme = () => useShown(stored);
export const useDark = () => useShown(isDark);
