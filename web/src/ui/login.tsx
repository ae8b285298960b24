// Shown when the gateway wants a key: from elsewhere than its own machine, or when one is configured.
import { useEffect, useRef, useState } from 'preact/hooks';
import { signIn } from '../link.ts';
import { useStore } from '../store.ts';
import { Mark } from './icons.tsx';

export function Login() {
  const link = useStore((s) => s.link);
  const [given, setGiven] = useState('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const go = (e: Event) => {
    e.preventDefault();
    if (given.trim()) signIn(given.trim());
  };
  return (
    <main class="login">
      <form onSubmit={go}>
        <Mark />
        <h1>OllamaMax</h1>
        <label class="field" for="key">Admin key</label>
        <input id="key" ref={field} type="password" autocomplete="current-password" value={given} onInput={(e) => setGiven(e.currentTarget.value)} aria-describedby="key-help" />
        {link.why && <p role="alert" class="warn-text">{link.why}</p>}
        <button type="submit" class="primary" disabled={!given.trim()}>Open the dashboard</button>
        <p id="key-help" class="muted small-text">It is <code>admin_key</code> in the gateway's configuration. Without one, only the gateway's own machine may look: open this page at <code>http://localhost</code> there. The key stays in this tab.</p>
      </form>
    </main>
  );
}
