// Our own few shapes. Each state has a shape of its own, so that nothing depends on seeing colours.
import type { ComponentChildren } from 'preact';

const shapes = {
  well: <><circle cx="8" cy="8" r="6.25" /><path d="m5.2 8.2 2 2 3.7-4.2" /></>,
  watch: <><path d="M8 2.2 14.4 13.4H1.6Z" /><path d="M8 6.4v3.2M8 11.4v.1" /></>,
  bad: <><path d="M5.4 1.8h5.2l3.6 3.6v5.2l-3.6 3.6H5.4L1.8 10.6V5.4Z" /><path d="m5.9 5.9 4.2 4.2m0-4.2-4.2 4.2" /></>,
  unknown: <><circle cx="8" cy="8" r="6.25" stroke-dasharray="2.4 2.4" /><path d="M8 8h.01" /></>,
  pause: <><circle cx="8" cy="8" r="6.25" /><path d="M6.5 5.8v4.4M9.5 5.8v4.4" /></>,
  starting: <><path d="M14.2 8A6.2 6.2 0 1 1 8 1.8" /><path d="M8 4.6V8l2.2 1.6" /></>,
  closed: <path d="M1.5 8h13" />,
  open: <><path d="M1.5 8H5l5-4.4M11 8h3.5" /></>,
  trial: <><path d="M1.5 8H5M11 8h3.5" /><path d="M5 8h6" stroke-dasharray="1.6 1.8" /></>,
  bell: <><path d="M3.4 11.6h9.2c-1-1-1.4-2-1.4-4.6a3.2 3.2 0 0 0-6.4 0c0 2.6-.4 3.6-1.4 4.6Z" /><path d="M6.8 13.6a1.4 1.4 0 0 0 2.4 0" /></>,
  quiet: <><path d="M3.4 11.6h9.2c-1-1-1.4-2-1.4-4.6a3.2 3.2 0 0 0-6.4 0c0 2.6-.4 3.6-1.4 4.6Z" /><path d="m2 2 12 12" /></>,
  sun: <><circle cx="8" cy="8" r="2.9" /><path d="M8 1.4v1.6M8 13v1.6M1.4 8H3M13 8h1.6M3.3 3.3l1.2 1.2M11.5 11.5l1.2 1.2M3.3 12.7l1.2-1.2M11.5 4.5l1.2-1.2" /></>,
  moon: <path d="M13.4 9.6A5.8 5.8 0 0 1 6.4 2.6a5.8 5.8 0 1 0 7 7Z" />,
  system: <><rect x="1.8" y="2.8" width="12.4" height="8.4" rx="1.4" /><path d="M5.6 13.8h4.8" /></>,
  close: <path d="m3.6 3.6 8.8 8.8m0-8.8-8.8 8.8" />,
  left: <path d="M9.8 3.2 5 8l4.8 4.8" />,
  right: <path d="M6.2 3.2 11 8l-4.8 4.8" />,
  key: <><circle cx="5" cy="11" r="3" /><path d="m7.2 8.8 6-6m-2.4 2.4 2 2" /></>,
  fork: <><path d="M2 8h4c3 0 2.4-4.6 5-4.6h3M6 8h8M6 8c3 0 2.4 4.6 5 4.6h3" /></>,
} satisfies Record<string, ComponentChildren>;

export type IconName = keyof typeof shapes;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width={size} height={size} aria-hidden="true" focusable="false">
      {shapes[name]}
    </svg>
  );
}

/** The mark: one road in, three out. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
      <path d="M3 16h9c5 0 4-9 10-9h7M12 16h17M12 16c5 0 4 9 10 9h7" />
      <circle cx="12" cy="16" r="4" />
    </svg>
  );
}
