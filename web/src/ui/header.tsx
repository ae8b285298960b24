import { useEffect, useState } from 'preact/hooks';
import { key } from '../api.ts';
import { retryNow, signOut } from '../link.ts';
import { useStore } from '../store.ts';
import type { Link } from '../store.ts';
import { applyTheme, themes, useTheme } from '../theme.ts';
import type { Level } from '../verdict.ts';
import { ways } from '../ways.ts';
import { Icon, Mark } from './icons.tsx';
import type { IconName } from './icons.tsx';

const nameOf = (link: Link) => ways.find((w) => w.id === link.way)!.name;

function useCountdown(until: number | undefined): number {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!until) return;
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [until]);
  return until ? Math.max(0, Math.ceil((until - Date.now()) / 1000)) : 0;
}

const LINKS: Record<Link['state'], { level: Level; icon: IconName; says: (l: Link) => string }> = {
  connecting: { level: 'unknown', icon: 'starting', says: () => 'Connecting' },
  live: { level: 'well', icon: 'well', says: (l) => (l.way === 'websocket' ? 'Live' : `Live by ${nameOf(l)}`) },
  waiting: { level: 'bad', icon: 'bad', says: () => 'Not connected' },
  paused: { level: 'unknown', icon: 'pause', says: () => 'Paused while hidden' },
  locked: { level: 'watch', icon: 'key', says: () => 'Needs the key' },
};

function LinkState() {
  const link = useStore((s) => s.link);
  const left = useCountdown(link.retryAt);
  const row = LINKS[link.state];
  return (
    <div class={`link is-${row.level}`}>
      <span role="status" class="link-state" title={link.why ?? `by ${nameOf(link)}`}>
        <Icon name={row.icon} size={14} />
        {row.says(link)}
      </span>
      {link.state === 'waiting' && (
        <button type="button" class="small" onClick={retryNow}>
          {left > 0 ? `trying again in ${left} s` : 'trying again'}
        </button>
      )}
    </div>
  );
}

function ThemeButton() {
  const theme = useTheme();
  const next = themes[(themes.findIndex((t) => t.id === theme) + 1) % themes.length]!;
  const current = themes.find((t) => t.id === theme)!;
  return (
    <button type="button" class="icon-button" onClick={() => applyTheme(next.id)} aria-label={`Theme: ${current.name}. Change to ${next.name}`} title={`Theme: ${current.name}`}>
      <Icon name={current.icon} />
    </button>
  );
}

export function Header({ sections }: { sections: { id: string; title: string }[] }) {
  const host = useStore((s) => s.health?.host);
  return (
    <header class="top">
      <a class="skip" href="#fleet">Skip to the fleet</a>
      <div class="top-row">
        <div class="brand">
          <Mark />
          <h1>OllamaMax{host && <span class="host">{host}</span>}</h1>
        </div>
        <nav aria-label="Sections">
          <ul>
            {sections.map((s) => (
              <li key={s.id}><a href={`#${s.id}`}>{s.title}</a></li>
            ))}
          </ul>
        </nav>
        <LinkState />
        <ThemeButton />
        {key.get() && (
          <button type="button" class="icon-button" onClick={signOut} aria-label="Forget the key" title="Forget the key">
            <Icon name="key" />
          </button>
        )}
      </div>
    </header>
  );
}
