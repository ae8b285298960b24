// Rooms of the gateway that this page need not know: what they send is drawn as it comes.
import type { Room } from '../feed.ts';
import { count } from '../format.ts';
import { Section } from './parts.tsx';

export function RoomSection({ room }: { room: Room }) {
  return (
    <Section id={`room-${room.id}`} title={room.title} aside={room.says && <span class="muted">{room.says}</span>}>
      <dl class="facts">
        {room.figures.map((f) => (
          <div class="fact" key={f.label}><dt>{f.label}</dt><dd><span class="figure">{typeof f.value === 'number' ? count(f.value) : f.value}</span> {f.unit}</dd></div>
        ))}
      </dl>
      {room.table && (
        <div class="scroll" role="region" aria-label={room.title} tabIndex={0}>
          <table class="plain">
            <thead><tr>{room.table.columns.map((c) => <th key={c} scope="col">{c}</th>)}</tr></thead>
            <tbody>
              {room.table.rows.map((row, i) => (
                <tr key={i}>{row.map((cell, at) => (at ? <td key={at} class={typeof cell === 'number' ? 'num' : ''}>{typeof cell === 'number' ? count(cell) : cell ?? '–'}</td> : <th key={at} scope="row">{cell}</th>))}</tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Section>
  );
}
