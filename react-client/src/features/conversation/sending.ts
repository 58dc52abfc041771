/** What sends by itself: repeated, or replayed. */
export interface Sending {
  readonly state: 'running' | 'done' | 'stopped';
  readonly sent: number;
  /** `null`: until stopped. */
  readonly total: number | null;
  /** By how much the latest went out after it was due. */
  readonly lateMs: number;
}
