/** Paper is white: charts, which are painted and not styled, have to be painted for it. */
export function printInLight(): void {
  const root = document.documentElement;
  let chosen: string | undefined;
  addEventListener('beforeprint', () => {
    chosen = root.dataset.theme;
    root.dataset.theme = 'light';
  });
  addEventListener('afterprint', () => {
    if (chosen === undefined) delete root.dataset.theme;
    else root.dataset.theme = chosen;
  });
}
