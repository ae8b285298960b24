import { useStore } from '../store.ts';
import type { State } from '../store.ts';
import { Alerts } from './alerts.tsx';
import { Charts } from './charts.tsx';
import { Header } from './header.tsx';
import { Heat } from './heat.tsx';
import { Login } from './login.tsx';
import { Fleet } from './nodes.tsx';
import { Queue } from './queue.tsx';
import { Requests } from './requests.tsx';
import { Cache, Memory } from './resources.tsx';
import { RoomSection } from './rooms.tsx';
import { Tiles } from './tiles.tsx';
import { VerdictBar } from './verdict_bar.tsx';

/** What the bar at the top leads to; a section that the gateway has nothing for is neither there nor here. */
const sections: { id: string; title: string; there: (s: State) => boolean }[] = [
  { id: 'fleet', title: 'Fleet', there: () => true },
  { id: 'charts', title: 'Charts', there: () => true },
  { id: 'requests', title: 'Requests', there: (s) => !!s.requests },
  { id: 'alerts', title: 'Alerts', there: (s) => !!s.alerts },
  { id: 'heat', title: 'Models', there: (s) => !!s.nodes?.some((n) => n.models.length) },
  { id: 'memory', title: 'Memory', there: (s) => !!s.memory },
];

export function App() {
  const locked = useStore((s) => s.link.state === 'locked');
  const there = useStore((s) => sections.filter((x) => x.there(s)).map((x) => x.id).join());
  const rooms = useStore((s) => s.metrics?.rooms) ?? [];
  const version = useStore((s) => s.metrics?.version ?? s.health?.version);
  if (locked) return <Login />;
  const shown = sections.filter((x) => there.split(',').includes(x.id));
  return (
    <>
      <Header sections={[...shown, ...rooms.map((r) => ({ id: `room-${r.id}`, title: r.title }))]} />
      <main>
        <VerdictBar />
        <Tiles />
        <div class="grid">
          <Fleet />
          <Charts />
          <Requests />
          <div class="stack"><Alerts /><Heat /><Queue /></div>
          <div class="stack"><Memory /><Cache />{rooms.map((r) => <RoomSection key={r.id} room={r} />)}</div>
        </div>
      </main>
      <footer>
        <p>OllamaMax {version}. The same figures for machines: <a href="../metrics">/metrics</a>, <a href="../api/health">/api/health</a>; in a terminal: <code>ollamamax top</code>.</p>
      </footer>
    </>
  );
}
