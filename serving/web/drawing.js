// A field to write in with mouse, pen or finger; `element` and `trigger` are Gradio's.
const canvas = element.querySelector('canvas'), pen = canvas.getContext('2d');
let strokes = [], stroke = null;

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * canvas.width / box.width, (event.clientY - box.top) * canvas.height / box.height];
}

function paint() {
  pen.fillStyle = '#fff';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  Object.assign(pen, {strokeStyle: '#111', lineWidth: 6, lineCap: 'round', lineJoin: 'round'});
  for (const points of strokes) {
    pen.beginPath();
    points.forEach(([x, y], at) => at ? pen.lineTo(x, y) : pen.moveTo(x, y));
    if (points.length === 1) pen.lineTo(points[0][0] + 0.1, points[0][1]);
    pen.stroke();
  }
}

canvas.addEventListener('pointerdown', event => {
  canvas.setPointerCapture(event.pointerId);
  strokes.push(stroke = [place(event)]);
  paint();
});
canvas.addEventListener('pointermove', event => { if (stroke) { stroke.push(place(event)); paint(); } });
for (const name of ['pointerup', 'pointercancel']) canvas.addEventListener(name, () => { stroke = null; });
element.addEventListener('click', event => {
  const wish = event.target.dataset && event.target.dataset.do;
  if (wish === 'undo') strokes.pop();
  if (wish === 'clear') strokes = [];
  if (wish === 'read') trigger('drawn', {png: canvas.toDataURL('image/png')});
  paint();
});
paint();
