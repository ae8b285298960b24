// A line of the last minutes without axes, for a tile. Gaps stay gaps.
const W = 120;
const H = 34;

export function Spark({ values }: { values: (number | null)[] }) {
  const shown = values.slice(-180);
  const most = Math.max(1e-9, ...shown.filter((v): v is number => v != null));
  let path = '';
  let pen = false;
  shown.forEach((v, i) => {
    if (v == null) return void (pen = false);
    const x = (i * W) / Math.max(1, shown.length - 1);
    const y = H - 2 - (v / most) * (H - 5);
    path += `${pen ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = true;
  });
  return (
    <svg class="spark" viewBox={`0 0 ${W} ${H}`} preserveAspectRatio="none" aria-hidden="true" focusable="false">
      <path d={`M0 ${H - 0.5}H${W}`} class="spark-floor" />
      {path && <path d={path} class="spark-line" />}
    </svg>
  );
}
