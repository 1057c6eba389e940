// What a page of Ridge does once it is open: draws its charts, sorts and filters its tables, and hands
// out the question it answers. Without the chart library its pictures stay as they came.
'use strict';

const PALETTE = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#56b4e9', '#e69f00', '#8a8f98'];
// Dark to light; equal steps look equal, in gray too (after viridis).
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const ROWS_AT_ONCE = 100;

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const known = x => x !== null && x !== undefined;

function number(x) {
  if (!known(x)) return 'unknown';
  if (typeof x !== 'number') return String(x);
  const size = Math.abs(x);
  if (x === 0 || (Number.isInteger(x) && size < 1e7)) return String(x);
  if (size >= 1e15 || size < 1e-4) return x.toExponential(3);
  for (const [unit, letter] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M']]) {
    if (size >= 1e7 && size >= unit) return `${Number((x / unit).toPrecision(4))} ${letter}`;
  }
  return String(Number(x.toPrecision(4)));
}

// Draws each chart of the page anew, in the colors that are in force.
const redraws = [];

// ---- charts ----------------------------------------------------------------------------------

// Lines across a chart (an SLA), and bars of intervals through its points.
const extras = {
  id: 'extras',
  afterDatasetsDraw(chart, _, options) {
    const {ctx, chartArea: area, scales: {x, y}} = chart;
    ctx.save();
    ctx.beginPath();
    ctx.rect(area.left, area.top, area.width, area.height);
    ctx.clip();
    for (const dataset of chart.data.datasets) {
      if (!dataset.bars) continue;
      ctx.strokeStyle = css('--soft');
      ctx.globalAlpha = dataset.bars.length > 300 ? 0.35 : 0.8;
      ctx.lineWidth = 1;
      for (const [x0, y0, x1, y1] of dataset.bars) {
        bar(ctx, x.getPixelForValue(x0), y.getPixelForValue(y0), x.getPixelForValue(x1), y.getPixelForValue(y1));
      }
    }
    ctx.globalAlpha = 1;
    ctx.strokeStyle = ctx.fillStyle = css('--bad');
    ctx.setLineDash([6, 4]);
    ctx.font = '12px system-ui, sans-serif';
    const points = dots(chart);
    const taken = points.filter(point => point.named);
    for (const line of options.lines || []) {
      const at = line.across ? y.getPixelForValue(line.value) : x.getPixelForValue(line.value);
      bar(ctx, ...(line.across ? [area.left, at, area.right, at] : [at, area.top, at, area.bottom]));
      const width = ctx.measureText(line.label).width;
      const beside = area.right - at > width + 8 ? at + 5 : at - 5 - width;
      const places = line.across ?
        [area.right - 4 - width, area.left + 4].flatMap(left => [[left, at - 5], [left, at + 14]]) :
        [[beside, area.top + 13], [beside, area.bottom - 5]];
      const box = first_free(places, width, area, [], points) || text_box(places[0], width);
      write(ctx, line.label, box);
      taken.push(box);
    }
    ctx.setLineDash([]);
    names(ctx, chart, area, taken, points);
    ctx.restore();
  },
};
function bar(ctx, x0, y0, x1, y1) {
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}
// What every point that is drawn takes: left, top, right, bottom.
function dots(chart) {
  return chart.data.datasets.flatMap((dataset, d) => !chart.isDatasetVisible(d) ? [] :
    chart.getDatasetMeta(d).data.map(({x, y}, i) => Object.assign(
      [x - 5, y - 5, x + 5, y + 5], {named: Boolean(dataset.named && dataset.data[i].name)})));
}
function text_box([left, base], width) {
  return [left, base - 11, left + width, base + 3];
}
function write(ctx, text, box) {
  ctx.textAlign = 'left';
  ctx.fillText(text, box[0], box[3] - 3);
}
// The first of the places for a text that covers nothing `taken`, and no point if there is such a one.
function first_free(places, width, area, taken, points) {
  const free = (box, others) => !others.some(t => box[0] < t[2] && t[0] < box[2] && box[1] < t[3] && t[1] < box[3]);
  const left = places.map(place => text_box(place, width)).filter(box =>
    box[0] >= area.left && box[2] <= area.right && box[1] >= area.top && box[3] <= area.bottom && free(box, taken));
  return left.find(box => free(box, points)) || left[0];
}
// Names beside their points, as far as they cover neither each other nor what is `taken`.
function names(ctx, chart, area, taken, points) {
  ctx.fillStyle = css('--ink');
  ctx.font = '12px system-ui, sans-serif';
  chart.data.datasets.forEach((dataset, d) => {
    if (!dataset.named || !chart.isDatasetVisible(d)) return;
    chart.getDatasetMeta(d).data.forEach(({x, y}, i) => {
      const name = dataset.data[i].name;
      if (!name) return;
      const width = ctx.measureText(name).width;
      const places = [[x + 8, y + 4], [x - 8 - width, y + 4], [x - width / 2, y - 9], [x - width / 2, y + 19]];
      const box = first_free(places, width, area, taken, points);
      if (!box) return;
      taken.push(box);
      write(ctx, name, box);
    });
  });
}

function scale(label, logarithmic, ticks) {
  const grid = css('--line');
  const out = {
    type: logarithmic ? 'logarithmic' : 'linear',
    title: {display: true, text: label, color: css('--soft')},
    grid: {color: grid, borderColor: grid},
    ticks: {color: css('--soft'), maxRotation: 0, autoSkipPadding: 12},
  };
  if (ticks && ticks.length) {
    out.min = ticks[0].value;
    out.max = ticks[ticks.length - 1].value;
    out.afterBuildTicks = axis => { axis.ticks = ticks.map(t => ({value: t.value})); };
    out.ticks.callback = value => ticks.find(t => t.value === value).label;
    out.ticks.autoSkip = false;
  } else {
    out.ticks.callback = function (value) {
      const leading = Math.round(value / 10 ** Math.floor(Math.log10(value)));
      return logarithmic && ![1, 2, 5].includes(leading) ? '' : short(value);
    };
  }
  return out;
}
// On an axis, whose values are round.
function short(x) {
  const size = Math.abs(x);
  if (size >= 1e6 && size < 1e7) return number(x / 1e6) + ' M';
  return size >= 1e4 && size < 1e6 ? number(x / 1e3) + ' k' : number(x);
}

function draw(place, datasets, axes, words, lines, picked) {
  place.replaceChildren();
  const canvas = place.appendChild(make('canvas'));
  // Intervals are part of the picture, not only their middles.
  for (const [axis, ends] of [['x', [0, 2]], ['y', [1, 3]]]) {
    const all = datasets.flatMap(d => (d.bars || []).flatMap(bar => ends.map(end => bar[end]))).filter(known);
    if (!all.length) continue;
    axes[axis].suggestedMin = all.reduce((a, b) => Math.min(a, b));
    axes[axis].suggestedMax = all.reduce((a, b) => Math.max(a, b));
  }
  canvas.setAttribute('role', 'img');
  return new Chart(canvas, {
    type: 'scatter',
    data: {datasets},
    options: {
      animation: false, responsive: true, maintainAspectRatio: false, normalized: true,
      interaction: {mode: 'nearest', intersect: true},
      scales: axes,
      onClick: (_, found) => { if (picked && found.length) picked(datasets[found[0].datasetIndex].data[found[0].index]); },
      plugins: {
        legend: {display: datasets.filter(d => d.label).length > 1, labels: {color: css('--ink'), usePointStyle: true, boxHeight: 7, filter: item => item.text}},
        tooltip: {callbacks: {label: item => words(item.raw, item.dataset)}, displayColors: false},
        extras: {lines},
      },
    },
    plugins: [extras],
  });
}

function drawPlot(figure) {
  const plot = JSON.parse(figure.querySelector('script').textContent);
  const place = make('div', {className: 'canvas'});
  figure.querySelector('.static').replaceWith(place);
  const datasets = plot.series.map(s => ({
    label: s.name, showLine: s.connected, stepped: false, borderWidth: 1.8,
    borderColor: s.color, backgroundColor: fade(s.color, s.opacity),
    pointBorderWidth: 0, pointStyle: s.diamond ? 'rectRot' : 'circle',
    pointRadius: s.radius, pointHitRadius: 5, bars: s.bars, named: s.labeled,
    data: s.points.map(([x, y, name]) => ({x, y, name})),
  }));
  const words = (p, dataset) => [p.name || dataset.label, `${plot.x.label}: ${number(p.x)}`, `${plot.y.label}: ${number(p.y)}`].filter(Boolean);
  let chart;
  const show = () => {
    if (chart) chart.destroy();
    chart = draw(place, datasets, {x: scale(plot.x.label, plot.x.log), y: scale(plot.y.label, plot.y.log, plot.guides)}, words, plot.lines);
  };
  show();
  redraws.push(show);
}
function fade(color, opacity) {
  return color + Math.round(255 * opacity).toString(16).padStart(2, '0');
}
function ramp(share) {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const i = Math.min(Math.floor(at), RAMP.length - 2);
  const mix = RAMP[i].map((c, k) => Math.round(c + (at - i) * (RAMP[i + 1][k] - c)));
  return '#' + mix.map(c => c.toString(16).padStart(2, '0')).join('');
}

// ---- designs side by side --------------------------------------------------------------------

class Explorer {
  constructor(root) {
    this.root = root;
    this.data = JSON.parse(root.querySelector('script').textContent);
    const {columns, values, labels} = this.data;
    this.count = this.data.front.length;
    // Names in place of their numbers.
    columns.forEach((column, c) => {
      if (column.label) values[c] = values[c].map(v => known(v) ? labels[v] : null);
    });
    this.shown = [...Array(this.count).keys()];
    this.sort = {column: null, descending: false};
    this.limit = ROWS_AT_ONCE;
    this.build();
    this.filter();
    const wanted = /^#design=(\d+)$/.exec(location.hash);
    if (wanted && wanted[1] < this.count) this.pick(Number(wanted[1]));
  }

  build() {
    const {columns, x, y, color} = this.data;
    const drawn = typeof Chart !== 'undefined';
    const numeric = columns.map((column, c) => [column, c]).filter(([column]) => !column.label);
    const choice = (label, entries, chosen) => {
      const select = make('select');
      for (const [text, value] of entries) select.append(make('option', {textContent: text, value}));
      select.value = chosen;
      select.onchange = () => this.plot();
      return [make('label', {}, label, select), select];
    };
    const entries = numeric.map(([column, c]) => [column.name, c]);
    const [xLabel, xSelect] = choice('across', entries, x);
    const [yLabel, ySelect] = choice('up', entries, y);
    const [colorLabel, colorSelect] = choice('color', [['groups', -1], ...columns.map((column, c) => [column.name, c])], color);
    Object.assign(this, {xSelect, ySelect, colorSelect});
    this.search = make('input', {type: 'search', placeholder: 'filter: words, or tpot_ms < 50, gpus = 32'});
    this.search.oninput = () => this.filter();
    this.frontOnly = make('input', {type: 'checkbox'});
    this.frontOnly.onchange = () => this.filter();
    this.controls = make('div', {className: 'controls'});
    if (drawn) this.controls.append(xLabel, yLabel, colorLabel);
    this.controls.append(make('label', {}, this.frontOnly, 'Pareto front only'), this.search);
    this.legend = make('div', {className: 'legend'});
    this.place = make('div', {className: 'canvas'});
    this.details = make('div', {className: 'details', hidden: true});
    this.words = make('p', {className: 'soft'});
    this.table = make('table', {className: 'sortable'});
    this.more = make('button', {textContent: 'more rows', type: 'button'});
    this.more.onclick = () => { this.limit *= 5; this.list(); };
    const picture = this.root.querySelector('.static');
    if (drawn) picture.replaceWith(this.controls, this.legend, this.place);
    else picture.after(this.controls);
    this.root.append(this.details, this.words, make('div', {className: 'scroll'}, this.table), this.more);
    this.head();
  }

  value(row, column) { return this.data.values[column][row]; }
  name(row) {
    const given = this.data.names[row];
    if (given) return given;
    return this.data.columns.map((column, c) => column.axis ? `${column.name} ${number(this.value(row, c))}` : '').filter(Boolean).join(', ');
  }

  // Every part must hold: "tpot_ms < 50" of a column, other words of the row's text.
  tests() {
    return this.search.value.split(',').map(part => part.trim()).filter(Boolean).map(part => {
      const found = /^([\w/.]+)\s*(<=|>=|<|>|=)\s*(.+)$/.exec(part);
      const c = found ? this.data.columns.findIndex(column => column.name === found[1]) : -1;
      if (c < 0) {
        const wanted = part.toLowerCase();
        return row => `${this.name(row)} ${this.data.columns.map((_, k) => this.value(row, k)).join(' ')}`.toLowerCase().includes(wanted);
      }
      const bound = Number(found[3]);
      return row => {
        const v = this.value(row, c);
        if (!known(v)) return false;
        switch (found[2]) {
          case '<': return v < bound;
          case '<=': return v <= bound;
          case '>': return v > bound;
          case '>=': return v >= bound;
          default: return String(v) === found[3] || v === bound;
        }
      };
    });
  }
  filter() {
    const tests = this.tests();
    this.shown = [];
    for (let row = 0; row < this.count; ++row) {
      if (this.frontOnly.checked && !this.data.front[row]) continue;
      if (tests.every(holds => holds(row))) this.shown.push(row);
    }
    this.limit = ROWS_AT_ONCE;
    this.plot();
    this.list();
  }

  head() {
    const row = make('tr');
    const add = (text, c, words, numeric) => {
      const cell = make('th', {textContent: text, title: words, className: numeric ? 'number' : '', scope: 'col', tabIndex: 0});
      cell.onclick = () => {
        this.sort = {column: c, descending: this.sort.column === c && !this.sort.descending};
        this.list();
      };
      cell.onkeydown = event => { if (event.key === 'Enter') cell.click(); };
      cell.dataset.column = c;
      row.append(cell);
    };
    if (Object.keys(this.data.names).length) add('name', 'name', 'of the design', false);
    add('front', 'front', 'not beaten by any other design', false);
    this.data.columns.forEach((column, c) => add(column.name, c, column.words, !column.label));
    this.table.append(make('thead', {}, row), make('tbody'));
  }
  list() {
    const {column, descending} = this.sort;
    const rows = [...this.shown];
    if (column !== null) {
      const of = column === 'name' ? row => this.name(row) : column === 'front' ? row => -this.data.front[row] : row => this.value(row, column);
      rows.sort((a, b) => {
        const [v, w] = [of(a), of(b)];
        if (!known(v) || !known(w)) return known(w) - known(v);
        const order = v < w ? -1 : v > w ? 1 : a - b;
        return descending ? -order : order;
      });
    }
    for (const cell of this.table.querySelectorAll('th')) {
      const here = String(column) === cell.dataset.column;
      if (here) cell.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      else cell.removeAttribute('aria-sort');
    }
    const named = Object.keys(this.data.names).length > 0;
    const body = this.table.tBodies[0];
    body.replaceChildren(...rows.slice(0, this.limit).map(row => {
      const line = make('tr', {className: 'pick' + (row === this.picked ? ' picked' : '')});
      if (named) line.append(make('td', {textContent: this.data.names[row] || ''}));
      line.append(make('td', {textContent: this.data.front[row] ? '●' : '', className: 'good'}));
      this.data.columns.forEach((info, c) => line.append(make('td', {textContent: number(this.value(row, c)), className: info.label ? '' : 'number'})));
      line.onclick = () => this.pick(row);
      return line;
    }));
    this.more.hidden = rows.length <= this.limit;
    const all = rows.length === this.count ? `${this.count} designs` : `${rows.length} of ${this.count} designs`;
    this.words.textContent = rows.length > this.limit ? `${all}; the first ${this.limit} below` : all;
  }

  pick(row) {
    this.picked = row;
    history.replaceState(null, '', `#design=${row}`);
    const list = make('dl');
    this.data.columns.forEach((column, c) => {
      const unit = column.unit ? ` ${column.unit}` : '';
      list.append(make('div', {title: column.words}, make('dt', {textContent: column.name}), make('dd', {textContent: number(this.value(row, c)) + unit})));
    });
    const close = make('button', {textContent: 'close', type: 'button'});
    close.onclick = () => { this.details.hidden = true; this.picked = undefined; this.plot(); };
    const front = this.data.front[row] ? 'on the Pareto front' : 'beaten by another design';
    this.details.replaceChildren(make('strong', {textContent: this.name(row)}), make('span', {className: 'soft', textContent: ` ${front} `}), close, list);
    this.details.hidden = false;
    this.plot();
    for (const line of this.table.tBodies[0].rows) line.classList.remove('picked');
  }

  colors() {
    const c = Number(this.colorSelect.value);
    const of = c < 0 ? row => this.data.groups[this.data.group[row]] : row => this.value(row, c);
    const distinct = [...new Set(this.shown.map(of))];
    const numeric = c >= 0 && !this.data.columns[c].label;
    this.legend.replaceChildren();
    if (numeric && distinct.length > PALETTE.length) {
      const sure = distinct.filter(known);
      const least = sure.reduce((a, b) => Math.min(a, b));
      const most = sure.reduce((a, b) => Math.max(a, b));
      const bar = make('span', {className: 'ramp'});
      bar.style.background = `linear-gradient(90deg, ${[0, 0.25, 0.5, 0.75, 1].map(ramp).join(', ')})`;
      this.legend.append(this.data.columns[c].name, number(least), bar, number(most));
      return row => known(of(row)) ? ramp((of(row) - least) / (most - least || 1)) : '#8a8f98';
    }
    if (numeric) distinct.sort((a, b) => a - b);
    const color = new Map(distinct.map((v, i) => [v, PALETTE[i % PALETTE.length]]));
    if (distinct.length > 1 && distinct.length <= 24) {
      const prefix = c < 0 ? '' : this.data.columns[c].name + ' ';
      for (const [v, shade] of color) {
        const chip = make('i');
        chip.style.background = shade;
        this.legend.append(make('span', {}, chip, prefix + number(v)));
      }
    }
    return row => color.get(of(row));
  }

  plot() {
    if (typeof Chart === 'undefined') return;
    const [x, y] = [Number(this.xSelect.value), Number(this.ySelect.value)];
    const {columns, front, names: given, lines, group, reference} = this.data;
    const color = this.colors();
    const point = row => {
      const out = {x: this.value(row, x), y: this.value(row, y), row, name: given[row]};
      for (const [key, c] of [['x', x], ['y', y]]) {
        if (!known(columns[c].low)) continue;
        out[key + 'Low'] = this.value(row, columns[c].low);
        out[key + 'High'] = this.value(row, columns[c].high);
      }
      return out;
    };
    const bars = p => [
      ...(known(p.xLow) ? [[p.xLow, p.y, p.xHigh, p.y]] : []),
      ...(known(p.yLow) ? [[p.x, p.yLow, p.x, p.yHigh]] : []),
    ];
    const drawable = rows => rows.map(point).filter(p => known(p.x) && known(p.y));
    const dots = (rows, radius, style, opacity) => {
      const data = drawable(rows);
      const shades = data.map(p => fade(color(p.row), opacity));
      return {
        data, backgroundColor: shades, borderColor: shades, pointBorderWidth: 0, pointRadius: radius,
        pointStyle: style, named: true, bars: data.flatMap(bars), label: '',
      };
    };
    const isReference = row => reference.includes(row);
    const others = this.shown.filter(row => !front[row] && !isReference(row));
    const best = this.shown.filter(row => front[row] && !isReference(row));
    const datasets = [];
    // The front is one of the two objectives that the sweep named.
    const objectives = x === this.data.x && y === this.data.y;
    if (objectives && this.data.line) {
      for (const g of new Set(best.map(row => group[row]))) {
        const rows = drawable(best.filter(row => group[row] === g)).sort((a, b) => a.x - b.x);
        datasets.push({data: rows, showLine: true, borderColor: css('--soft'), borderWidth: 1.2, pointRadius: 0, pointHitRadius: 0, label: '', order: 1});
      }
    }
    datasets.push({...dots(best, 4.5, 'circle', 1), order: 2}, {...dots(this.shown.filter(isReference), 7, 'rectRot', 1), order: 0}, {...dots(others, others.length > 2000 ? 1.8 : 3, 'circle', others.length > 2000 ? 0.45 : 0.6), order: 3});
    if (known(this.picked)) {
      datasets.push({data: drawable([this.picked]), pointRadius: 9, pointBorderWidth: 2, pointHitRadius: 0, backgroundColor: '#0000', borderColor: css('--bad'), label: '', order: -1});
    }
    const label = column => column.unit ? `${column.name} in ${column.unit}` : column.name;
    // Where values differ twentyfold, a linear axis would press most of them together.
    const wide = c => {
      const sure = this.shown.map(row => this.value(row, c)).filter(known);
      const least = sure.reduce((a, b) => Math.min(a, b), Infinity);
      return least > 0 && sure.reduce((a, b) => Math.max(a, b), 0) > 20 * least;
    };
    const words = p => {
      const interval = key => known(p[key + 'Low']) ? ` (${number(p[key + 'Low'])} to ${number(p[key + 'High'])})` : '';
      return [this.name(p.row), `${columns[x].name}: ${number(p.x)} ${columns[x].unit}${interval('x')}`, `${columns[y].name}: ${number(p.y)} ${columns[y].unit}${interval('y')}`];
    };
    const drawnLines = lines.filter(l => l.column === x || l.column === y).map(l => ({...l, across: l.column === y}));
    if (this.chart) this.chart.destroy();
    this.chart = draw(this.place, datasets, {x: scale(label(columns[x]), wide(x)), y: scale(label(columns[y]), wide(y))}, words, drawnLines, p => this.pick(p.row));
  }
}

// ---- tables of the page's own ----------------------------------------------------------------

function sortable(table) {
  const body = table.tBodies[0];
  [...table.tHead.rows[0].cells].forEach((cell, c) => {
    cell.tabIndex = 0;
    cell.onkeydown = event => { if (event.key === 'Enter') cell.click(); };
    cell.onclick = () => {
      const descending = cell.getAttribute('aria-sort') === 'ascending';
      for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
      cell.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
      const key = row => {
        const given = row.cells[c].dataset.value;
        return given === undefined ? row.cells[c].textContent : Number(given);
      };
      const rows = [...body.rows].sort((a, b) => {
        const [v, w] = [key(a), key(b)];
        const order = typeof v === typeof w ? (v < w ? -1 : v > w ? 1 : 0) : typeof v === 'number' ? -1 : 1;
        return descending ? -order : order;
      });
      body.append(...rows);
    };
  });
  if (body.rows.length > 12) {
    const search = make('input', {type: 'search', placeholder: 'filter'});
    search.oninput = () => {
      const wanted = search.value.toLowerCase();
      for (const row of body.rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    };
    table.parentElement.before(make('div', {className: 'controls'}, search));
  }
}

function download(button) {
  button.onclick = () => {
    const text = document.getElementById('ridge-question').textContent;
    const pretty = JSON.stringify(JSON.parse(text), null, 2) + '\n';
    const link = make('a', {href: URL.createObjectURL(new Blob([pretty], {type: 'application/json'})), download: button.dataset.name});
    link.click();
    URL.revokeObjectURL(link.href);
  };
}

function start() {
  if (typeof Chart !== 'undefined') {
    Chart.defaults.font.family = 'system-ui, sans-serif';
    document.querySelectorAll('figure.chart').forEach(drawPlot);
  }
  document.querySelectorAll('table.sortable').forEach(sortable);
  document.querySelectorAll('.explorer').forEach(root => {
    const explorer = new Explorer(root);
    redraws.push(() => explorer.plot());
  });
  document.querySelectorAll('button.download').forEach(download);
}
start();
// Colors follow the scheme that is in force: on paper, too, it is the light one.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => redraws.forEach(redraw => redraw()));
