import { formatPlural } from '../../lib/figures';
import type { EchoCounts } from './echo-counts';

export interface VerdictSentence {
  readonly tone: 'neutral' | 'good' | 'bad';
  readonly text: string;
}

/** The counts in one plain sentence; what went wrong comes before what is merely not in yet. */
export function verdictSentence(counts: EchoCounts): VerdictSentence {
  const faults = [
    counts.lost > 0 ? `${formatPlural(counts.lost, 'message', 'messages')} lost` : '',
    counts.corrupt > 0 ? formatPlural(counts.corrupt, 'corrupt reply', 'corrupt replies') : '',
    counts.unexpected > 0
      ? formatPlural(counts.unexpected, 'unexpected reply', 'unexpected replies')
      : '',
    counts.duplicate > 0
      ? formatPlural(counts.duplicate, 'duplicate reply', 'duplicate replies')
      : '',
    counts.reordered > 0
      ? `${formatPlural(counts.reordered, 'reply', 'replies')} out of order`
      : '',
  ].filter((fault) => fault !== '');

  if (faults.length > 0) return { tone: 'bad', text: `${faults.join(', ')}.` };
  const { sent, received, waiting, echoed } = counts;
  if (sent === 0) {
    const pushes = `${formatPlural(received, 'message', 'messages')} pushed.`;
    return { tone: 'neutral', text: received === 0 ? 'Nothing sent yet.' : pushes };
  }
  if (waiting > 0) {
    return {
      tone: 'neutral',
      text: `${formatPlural(waiting, 'reply', 'replies')} still to come.`,
    };
  }
  if (echoed === 0) return { tone: 'neutral', text: 'Nothing is known to be owed a reply.' };
  return { tone: 'good', text: 'Every message came back right.' };
}
