// Small things used all over.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import type { Level } from '../verdict.ts';
import { Icon } from './icons.tsx';
import type { IconName } from './icons.tsx';

export function Section(p: { id: string; title: string; aside?: ComponentChildren; children: ComponentChildren; wide?: boolean }) {
  return (
    <section id={p.id} class={p.wide ? 'panel wide' : 'panel'} aria-labelledby={`${p.id}-title`} tabIndex={-1}>
      <header class="panel-head">
        <h2 id={`${p.id}-title`}>{p.title}</h2>
        {p.aside && <div class="panel-aside">{p.aside}</div>}
      </header>
      {p.children}
    </section>
  );
}

export function Badge({ level, icon, children, title }: { level: Level; icon?: IconName; children: ComponentChildren; title?: string }) {
  return (
    <span class={`badge is-${level}`} title={title}>
      <Icon name={icon ?? level} size={14} />
      <span>{children}</span>
    </span>
  );
}

export function Hidden({ children }: { children: ComponentChildren }) {
  return <span class="sr-only">{children}</span>;
}

/** A choice among a few: radio buttons that look like one switch, so arrows and screen readers work by themselves. */
export function Choice<T extends string>(p: { label: string; value: T; options: { value: T; label: string }[]; onPick: (v: T) => void }) {
  const group = useId();
  return (
    <fieldset class="choice">
      <legend class="sr-only">{p.label}</legend>
      {p.options.map((o) => (
        <label key={o.value}>
          <input type="radio" name={group} checked={o.value === p.value} onChange={() => p.onPick(o.value)} />
          <span>{o.label}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** A modal dialog: the browser keeps the focus inside and gives it back. */
export function Dialog(p: { title: ComponentChildren; onClose: () => void; children: ComponentChildren; side?: boolean; tools?: ComponentChildren; onKeyDown?: (e: KeyboardEvent) => void }) {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = box.current!;
    const before = document.activeElement as HTMLElement | null;
    if (!dialog.open) dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={p.side ? 'dialog side' : 'dialog'}
      aria-labelledby={id}
      onKeyDown={p.onKeyDown}
      onCancel={(e) => {
        e.preventDefault();
        p.onClose();
      }}
      onClick={(e) => e.target === box.current && p.onClose()}
    >
      <div class="dialog-box">
        <header class="dialog-head">
          <h2 id={id}>{p.title}</h2>
          <div class="dialog-tools">
            {p.tools}
            <button type="button" class="icon-button" onClick={p.onClose} aria-label="Close">
              <Icon name="close" />
            </button>
          </div>
        </header>
        {p.children}
      </div>
    </dialog>
  );
}

export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** A bar of parts of a whole. Beside it there is always text with the same figures, so it is hidden from readers. */
export function Bar({ parts, whole }: { parts: { value: number; kind: string; title?: string }[]; whole: number }) {
  return (
    <div class="bar" aria-hidden="true">
      {parts.filter((p) => p.value > 0).map((p, i) => (
        <span key={i} class={p.kind} title={p.title} style={{ width: `${whole > 0 ? Math.min(100, (100 * p.value) / whole) : 0}%` }} />
      ))}
    </div>
  );
}
