/**
 * Lets a sticky element that is higher than the window go with the page until its end is in view,
 * and stay there; a ref of it.
 */
export function keepEndInView(element: HTMLElement | null): (() => void) | undefined {
  if (element === null) return undefined;
  const place = () => {
    element.style.top = `${String(Math.min(0, window.innerHeight - element.offsetHeight))}px`;
  };
  const observer = new ResizeObserver(place);
  observer.observe(element);
  window.addEventListener('resize', place);
  place();
  return () => {
    observer.disconnect();
    window.removeEventListener('resize', place);
  };
}
