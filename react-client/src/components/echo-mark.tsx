/** The project's mark: one sound and its three echoes. */
export function EchoMark({ size }: { size: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill="none"
      stroke="var(--accent)"
      strokeWidth="2"
      strokeLinecap="round"
      aria-hidden="true"
    >
      <circle cx="4.6" cy="12" r="2.1" fill="var(--accent)" stroke="none" />
      <path d="M9.6 7.6a6.2 6.2 0 0 1 0 8.8" />
      <path d="M13.6 4.9a10 10 0 0 1 0 14.2" opacity="0.6" />
      <path d="M17.6 2.3a13.7 13.7 0 0 1 0 19.4" opacity="0.3" />
    </svg>
  );
}
